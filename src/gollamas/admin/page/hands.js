// Loads, unloads, pulls and deletes models, on a server or on all.

import { byId, el, name, set, write } from "./dom.js";
import { span } from "./format.js";
import { refusal } from "./feed.js";
import { WORDS } from "./work.js";

const TOKEN = "gollamas-admin-token"; // sessionStorage: gone with the tab
const KEPT = 5; // answers
const QUESTIONS = {
  unload: ", so that the next request for it waits until it is loaded again?",
  delete: ", so that only a pull brings it back?",
};

export class Hands {
  constructor(store) {
    this.store = store;
    byId("hand-open").onclick = () => this.open("", "");
    for (const button of byId("hand").querySelectorAll("[data-hand]")) {
      button.onclick = () => this.chosen(button.dataset.hand);
    }
  }

  // Opens the dialog with a model and a server filled in; "" means that none is chosen, or all.
  open(model, server) {
    const { servers = [], models = [] } = this.store.state ?? {};
    const names = new Set([...models.map((one) => one.name), ...servers.flatMap((one) => one.models ?? [])]);
    byId("hand-models").replaceChildren(...[...names].map((one) => el("option", { value: one })));
    const all = el("option", { value: "" }, "All of the model's servers");
    byId("hand-server").replaceChildren(all, ...servers.map((one) => el("option", { value: one.id }, one.id)));
    byId("hand-model").value = model;
    byId("hand-server").value = server;
    byId("hand-model").setCustomValidity("");
    byId("hand").showModal();
  }

  chosen(action) {
    const input = byId("hand-model");
    input.setCustomValidity(input.value.trim() ? "" : "Name a model");
    if (!input.reportValidity()) return;
    byId("hand").close();
    this.want(action, input.value.trim(), byId("hand-server").value);
  }

  // Does it, after a question where it takes something away.
  async want(action, model, server) {
    if (action in QUESTIONS && !(await asked(action, model, server))) return;
    const answer = begun(action, model, server);
    const body = JSON.stringify(server ? { model, server } : { model });
    const response = await send(action, body).catch(() => "No answer: the connection to the proxy is lost.");
    if (typeof response === "string") ended(answer, response);
    else await told(answer, response);
  }
}

// Sends it, and again with a token where one is asked for; a sentence where none was given.
async function send(action, body) {
  for (;;) {
    const headers = { "Content-Type": "application/json" };
    const token = sessionStorage.getItem(TOKEN);
    if (token) headers.Authorization = `Bearer ${token.replace(/[^ -~]/g, "?")}`; // headers take no others
    const response = await fetch(action, { method: "POST", headers, body });
    if (response.status !== 403) return response;
    const why = await refusal(response.clone());
    if (!why.includes("Authorization: Bearer")) return response;
    sessionStorage.removeItem(TOKEN);
    const first = "Changes need the proxy's admin token.";
    if (!(await tokenGiven(token ? "That is not the proxy's admin token." : first))) return "Cancelled: no token was entered.";
  }
}

// Resolves when a dialog was left, with whether it was by its button for yes.
function answered(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.onclose = () => resolve(dialog.returnValue === "yes");
    dialog.showModal();
  });
}

function asked(action, model, server) {
  const verb = WORDS[action];
  write(byId("ask-title"), `${verb} a model`);
  const where = server ? name(server) : `all servers that have it${action === "unload" ? " in memory" : ""}`;
  byId("ask-text").replaceChildren(`${verb} `, name(model), " from ", where, QUESTIONS[action]);
  write(byId("ask-yes"), verb);
  return answered(byId("ask"));
}

async function tokenGiven(why) {
  const input = byId("token-input");
  write(byId("token-why"), why);
  input.value = "";
  const isGiven = await answered(byId("token"));
  if (isGiven && input.value) sessionStorage.setItem(TOKEN, input.value);
  input.value = "";
  return isGiven;
}

function begun(action, model, server) {
  const dismiss = el("button.small", { "data-dismiss": true, "aria-label": "Dismiss this answer" }, "Dismiss");
  const where = server ? name(server) : "all of its servers";
  const title = el("p.title", `${WORDS[action]} `, name(model), " on ", where);
  const words = action === "pull" ? "Under way; it stops when this page is closed." : "Waiting for the answer…";
  const attributes = { "data-hand": action, "data-state": "running" };
  const item = el("li", attributes, title, el("p.quiet", words), el("ul"), dismiss);
  const answers = byId("answers");
  dismiss.onclick = () => {
    const next = item.nextSibling ?? item.previousSibling;
    item.remove();
    (next?.lastChild ?? byId("hand-open")).focus();
  };
  answers.prepend(item);
  while (answers.children.length > KEPT) answers.lastChild.remove();
  return item;
}

async function told(answer, response) {
  const body = await response.json().catch(() => ({}));
  const servers = body.servers ?? [];
  const failed = servers.filter((one) => one.error).length;
  const some = servers.length === 1 ? "" : ` on ${failed} of ${servers.length} servers`;
  if (servers.length === 0) ended(answer, body.error ?? (response.ok ? "Nothing to do." : `HTTP ${response.status}`));
  else if (failed) ended(answer, `Failed${some}.`, servers);
  else ended(answer, "Done.", servers, "done");
}

function ended(answer, words, servers = [], state = "failed") {
  const [, text, list] = answer.children;
  set(answer, "data-state", state);
  write(text, words);
  list.replaceChildren(...servers.map((one) => el("li", { "data-server": one.server, "data-end": one.end },
    name(one.server), ` ${one.end.replaceAll("_", " ")} in ${span(one.took_s)}`,
    one.error && ": ", one.error && el("bdi", one.error))));
}
