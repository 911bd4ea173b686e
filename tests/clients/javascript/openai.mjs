// Reads OPENAI_BASE_URL and OPENAI_API_KEY.
import OpenAI from "openai";

const client = new OpenAI({ maxRetries: 0 });
const asked = { model: "gpt-4o", messages: [{ role: "user", content: "Hello" }], seed: 7 };
const whole = await client.chat.completions.create(asked);
const models = new Set();
let streamed = "";
for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) {
  models.add(chunk.model);
  streamed += chunk.choices[0]?.delta.content ?? "";
}
const error = await client.chat.completions.create({ ...asked, model: "nope" }).catch((why) => why);
console.log(
  JSON.stringify({
    models: [whole.model, ...models],
    whole: whole.choices[0].message.content,
    streamed,
    error: [error.constructor.name, error.status],
  }),
);
