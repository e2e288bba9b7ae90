"""Metrics of an answer and the names of its files, as the maintenance guide has them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class MetricsOut(BaseModel):
    """Seconds that the turn took, also by stage, such as `answer_time`."""

    model_config = ConfigDict(extra="allow")

    total_time: float
    session_id: str = ""
    sql_time: float = Field(0.0, description="For questions to data sources, with the queries that failed.")
    image_time: float = Field(0.0, description="A chart is drawn when its picture is asked for: 0.")
    sql_attempts: int = Field(0, description="Queries that were tried, with those that were repaired.")
    flow: Literal["good", "bad"] = Field("good", description="bad: it is no answer.")
    request_id: str = ""
    api_processing_time: float = Field(0.0, description="From the moment that the question was taken.")


class ArtifactNamesOut(BaseModel):
    """What the files are called; left out where there is none."""

    data_file: str = Field("", examples=["chat_docs/0f1e2d3c4b5a6978/data_0.csv"])
    image_file: str = Field("", examples=["chat_docs/0f1e2d3c4b5a6978/image_0.png"])
    code_file: str = Field("", examples=["chat_docs/0f1e2d3c4b5a6978/code_0.py"])
