// What someone writes who has made types with openapi-typescript and uses them with openapi-fetch; type-checked and run
// by test_clients.py with the service's address, a key and the id of a dataset. Prints what it saw as JSON.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

const [url, key, datasetId] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url, headers: { "X-API-Key": key } });
const message = "How much does a dormitory room cost?";

async function stream(): Promise<string> {
  const { data, response } = await client.POST("/v1/chat/stream", {
    params: { header: { "X-Conversation-Id": "streamed-ts" } },
    body: { message },
    parseAs: "stream",
  });
  if (!data) throw new Error(`${response.status}`);
  let text = "";
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of data as unknown as AsyncIterable<Uint8Array>) {
    const blocks = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = blocks.pop() ?? "";
    for (const block of blocks) {
      const line = block.split("\n").find((one) => one.startsWith("data: "));
      if (!line) continue;
      const event = JSON.parse(line.slice("data: ".length)) as components["schemas"]["RunEvent"];
      if (event.type === "token") text += event.content;
    }
  }
  return text;
}

const asked = await client.POST("/v1/chat", {
  params: { header: { "X-Conversation-Id": "asked-ts" } },
  body: { message },
});
if (asked.error) throw new Error(asked.error.detail);
if (!("answer" in asked.data)) throw new Error("The run waits for an approval.");
const followed = await client.GET("/v1/runs/{run_id}/events", {
  params: { path: { run_id: asked.data.run_id } },
  parseAs: "text",
});
const form = new FormData();
form.append("files", new Blob(["The tower has nine floors, and a cellar."]), "tower.txt");
form.append("metadata", new Blob([JSON.stringify({ category: "towers" })], { type: "application/json" }));
const uploaded = await client.POST("/v1/tenant/datasets/{dataset_id}/documents/upload", {
  params: { path: { dataset_id: datasetId }, header: { "Idempotency-Key": "an-upload-from-Node" } },
  body: { files: [] },
  bodySerializer: () => form,
});
const listed = await client.GET("/v1/tenant/datasets/{dataset_id}/documents", {
  params: { path: { dataset_id: datasetId }, query: { limit: 10 } },
});
const health = await client.GET("/health");
const refused = await client.GET("/v1/runs/{run_id}", { params: { path: { run_id: "nothing" } } });
console.log(
  JSON.stringify({
    answer: asked.data.answer,
    followed: (followed.data ?? "").split("event: done").length - 1,
    streamed: await stream(),
    uploaded: uploaded.data?.jobs.map((job) => job.name),
    listed: listed.data?.documents.map((document) => document.metadata),
    health: health.data?.status,
    refused: refused.error?.type,
  }),
);
