// The library reads no variable by itself.
import { Ollama } from "ollama";

const client = new Ollama({ host: process.env.OLLAMA_HOST });
const asked = { model: "assistant", messages: [{ role: "user", content: "Hello" }], options: { seed: 7 } };
const whole = await client.chat(asked);
const models = new Set();
let streamed = "";
for await (const part of await client.chat({ ...asked, stream: true })) {
  models.add(part.model);
  streamed += part.message.content;
}
const error = await client.chat({ ...asked, model: "nope" }).catch((why) => why);
console.log(
  JSON.stringify({
    models: [whole.model, ...models],
    whole: whole.message.content,
    streamed,
    error: [error.name, error.status_code],
  }),
);
