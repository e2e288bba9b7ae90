"""Charts of what queries give: a small grammar, chosen by rules or by whoever asks, written as Vega-Lite."""
