// Begins when the page has been read. Whatever goes wrong here stays here: the page around it is another's.

const SCRIPT = readDocument("currentScript");
const BASE = new URL(".", SCRIPT ? SCRIPT.src : location.href).href;

/** The class of the production guide: asks a bot from a program of the page's own. With no key it asks as a visitor. */
class ProductionChatBot {
  constructor(botId, apiKey) {
    this.botId = botId;
    this.apiKey = apiKey;
    this.sessionId = null;
    this.baseUrl = BASE.replace(/\/$/, "");
  }

  /** The answer to *message*, with `session_id`, `answer` and `citations`; the next message goes on from there. */
  async sendMessage(message) {
    const bot = this.apiKey ? { bot_id: this.botId } : {};
    const response = await fetch(`${this.baseUrl}/v1/chat`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${this.apiKey || (await this.visit())}` },
      body: JSON.stringify({ message, session_id: this.sessionId, ...bot }),
    });
    const data = await response.json();
    if (!response.ok) throw new Refused(response.status, data, 0);
    this.sessionId = data.session_id;
    return data;
  }

  async visit() {
    this.service ||= new Service(`${this.baseUrl}/`, this.botId, new Memory(`class ${this.botId}`));
    return (await this.service.visit()).token;
  }
}

const LANGUAGES = Object.keys(TEXTS);

function chooseLanguage(given) {
  const wanted = [given, ...(navigator.languages || [])].filter(Boolean).map((each) => each.toLowerCase().split("-")[0]);
  return wanted.find((each) => LANGUAGES.includes(each)) || "en";
}

function readOptions({ bot, language, theme, color, position, title, page }) {
  return {
    base: BASE, publicId: bot, language: chooseLanguage(language), title, page: page !== undefined,
    colour: color && CSS.supports("color", color) ? color : "",
    theme: ["light", "dark"].includes(theme) ? theme : "auto",
    position: position === "left" ? "left" : "right",
  };
}

function start() {
  try {
    new Chat(readOptions(SCRIPT.dataset));
  } catch (error) {
    console.warn("pustaka: the chat could not be shown.", error);
  }
}

if (typeof window.ProductionChatBot !== "function") window.ProductionChatBot = ProductionChatBot; // an element may have that id
if (SCRIPT?.dataset.bot) {
  if (readDocument("readyState") === "loading") callDocument("addEventListener", "DOMContentLoaded", start);
  else start();
}
