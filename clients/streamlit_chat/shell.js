// Until Streamlit's page is there: what is typed is put into its box, and what is sent is sent by it.
(() => {
  const shell = document.querySelector("#shell");
  const own = shell.querySelector("textarea");
  let isSent = false;
  own.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || !own.value.trim()) return;
    event.preventDefault();
    isSent = own.readOnly = true;
  });
  if (matchMedia("(hover: hover)").matches) own.focus({ preventScroll: true });
  const take = () => {
    const box = document.querySelector('[data-testid="stChatInputTextArea"]');
    const isDrawn = document.querySelector('[data-testid="stApp"][data-test-script-state="notRunning"]');
    if (!box && !isDrawn) return;
    const hadFocus = document.activeElement === own;
    shell.remove();
    if (!own.value || !box) return observer.disconnect();
    if (box.disabled) return;
    observer.disconnect();
    // As if it were typed: React does not hear of a value that is only set.
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, own.value);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    if (hadFocus || isSent) box.focus();
    if (isSent) setTimeout(() => document.querySelector('[data-testid="stChatInputSubmitButton"]')?.click());
  };
  const observer = new MutationObserver(take);
  observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled", "data-test-script-state"] });
})();
