// What someone writes who has OpenAI's client for Node, the AI SDK or the SDK of MCP; run by test_openai_clients.py with
// the service's address and a key. Prints what it saw as JSON.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, generateText, streamText } from "ai";
import OpenAI, { toFile } from "openai";

const [url, apiKey, speakingUrl, speakingKey] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const question = "How much does a dormitory room cost?";
const asked = { model: "default", messages: [{ role: "user", content: question }] };
const tool = { type: "function", function: { name: "look_up", parameters: { type: "object", properties: {} } } };

function showMarks(text, annotations) {
  return annotations.map((one) => ({ mark: text.slice(one.start_index, one.end_index), url: one.url }));
}

async function catchError(promise) {
  const error = await promise.then(
    () => null,
    (caught) => caught,
  );
  return error && [error.constructor.name, error.status, error.code, error.param];
}

async function useOpenAI() {
  const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const response = await client.responses.create({ model: "default", input: question });
  let streamed = "";
  const stream = client.responses.stream({ model: "default", input: question });
  stream.on("response.output_text.delta", (event) => (streamed += event.delta));
  const final = await stream.finalResponse();
  const followed = await client.responses.create({
    model: "default",
    input: "And with a private bathroom?",
    previous_response_id: response.id,
  });
  const begun = await client.responses.create({ model: "default", input: question, background: true });
  const completion = await client.chat.completions.create(asked);
  const chunked = await client.chat.completions.stream(asked).finalChatCompletion();
  const nobody = new OpenAI({ baseURL, apiKey: "nobody's", maxRetries: 0 });
  return {
    models: (await client.models.list()).data.map((model) => model.id),
    texts: [response, final].map((one) => one.output_text).concat(streamed),
    completions: [completion, chunked].map((one) => one.choices[0].message.content),
    marks: showMarks(response.output_text, response.output[0].content[0].annotations),
    streamedMarks: showMarks(final.output_text, final.output[0].content[0].annotations),
    followed: followed.conversation_id === response.conversation_id && followed.status,
    begun: begun.status,
    again: (await client.responses.retrieve(response.id)).output_text,
    embedding: (await client.embeddings.create({ model: "default", input: question })).data[0].embedding.length,
    refused: [
      await catchError(client.chat.completions.create({ ...asked, tools: [tool] })),
      await catchError(client.responses.create({ model: "nobody", input: question })),
      await catchError(client.responses.retrieve("resp_1")),
      await catchError(client.responses.delete("resp_1")),
      await catchError(client.completions.create({ model: "default", prompt: question })),
      await catchError(nobody.models.list()),
    ],
  };
}

async function useAiSdk() {
  const openai = createOpenAI({ baseURL, apiKey });
  const compatible = createOpenAICompatible({ name: "documents", baseURL, apiKey });
  const seen = { embedding: (await embed({ model: openai.embedding("default"), value: question })).embedding.length };
  const models = { responses: openai.responses("default"), chat: openai.chat("default"), compatible: compatible("default") };
  for (const [name, model] of Object.entries(models)) {
    const whole = await generateText({ model, prompt: question, system: "Be brief.", maxRetries: 0 });
    const stream = streamText({ model, prompt: question, maxRetries: 0 });
    let text = "";
    for await (const piece of stream.textStream) text += piece;
    const sources = [...whole.sources, ...(await stream.sources)].map((source) => source.title);
    seen[name] = { texts: [whole.text, text], sources, ended: [whole.finishReason, await stream.finishReason] };
  }
  return seen;
}

async function useMcp() {
  const client = new Client({ name: "test", version: "1" });
  const requestInit = { headers: { Authorization: `Bearer ${apiKey}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${baseURL}/mcp`), { requestInit }));
  const { tools } = await client.listTools();
  const found = await client.callTool({ name: "search", arguments: { query: question } });
  const [first] = found.structuredContent.results;
  const read = await client.callTool({ name: "fetch", arguments: { id: first.id } });
  const answer = await client.callTool({ name: "ask", arguments: { question } });
  const resources = await client.listResources();
  await client.close();
  return {
    tools: tools.map((one) => one.name),
    read: read.structuredContent.text.includes(first.text),
    answer: answer.structuredContent.answer,
    resources: resources.resources.length,
  };
}

async function useAudio() {
  const client = new OpenAI({ baseURL: `${speakingUrl}/v1`, apiKey: speakingKey, maxRetries: 0 });
  const said = { model: "default", voice: "default", input: "Good morning." };
  const sound = Buffer.from(await (await client.audio.speech.create({ ...said, response_format: "wav" })).arrayBuffer());
  const heard = { model: "default", file: await toFile(sound, "a.wav") };
  return {
    sound: sound.subarray(0, 4).toString(),
    heard: (await client.audio.transcriptions.create(heard)).text,
    plain: await client.audio.transcriptions.create({ ...heard, response_format: "text" }),
    refused: await catchError(client.audio.transcriptions.create({ ...heard, response_format: "verbose_json" })),
  };
}

const seen = { openai: await useOpenAI(), audio: await useAudio(), ai: await useAiSdk(), mcp: await useMcp() };
console.log(JSON.stringify(seen));
