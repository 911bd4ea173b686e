// Reads ANTHROPIC_BASE_URL, ANTHROPIC_AUTH_TOKEN and ANTHROPIC_API_KEY.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ maxRetries: 0 });
const asked = { model: "claude-sonnet-4", messages: [{ role: "user", content: "Hello" }], max_tokens: 500 };
let streamed = "";
const stream = client.messages.stream(asked).on("text", (text) => (streamed += text));
const final = await stream.finalMessage();
const whole = await client.messages.create(asked);
const error = await client.messages.create({ ...asked, model: "nope" }).catch((why) => why);
console.log(
  JSON.stringify({
    models: [whole.model, final.model],
    whole: final.content.find((block) => block.type === "text").text,
    streamed,
    error: [error.constructor.name, error.status],
  }),
);
