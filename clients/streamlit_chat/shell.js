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
  const find = () => document.querySelector('[data-testid="stChatInputTextArea"]');
  let givingUp;
  const leave = () => {
    shell.remove();
    observer.disconnect();
  };
  const take = () => {
    const box = find();
    if (!box) {
      // A page without a box, such as one to sign in, or one that is not whole yet: both look alike for a moment.
      const isDrawn = document.querySelector('[data-test-script-state="notRunning"] [data-testid="stElementContainer"]');
      if (isDrawn) givingUp ??= setTimeout(() => find() || leave(), own.value ? 3000 : 0);
      return;
    }
    if (own.value && box.disabled) return;
    const hadFocus = document.activeElement === own;
    leave();
    if (!own.value) return;
    // As if it were typed: React does not hear of a value that is only set.
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(box, own.value);
    box.dispatchEvent(new Event("input", { bubbles: true }));
    if (hadFocus || isSent) box.focus();
    if (isSent) setTimeout(() => document.querySelector('[data-testid="stChatInputSubmitButton"]')?.click());
  };
  const observer = new MutationObserver(take);
  observer.observe(document.body, { childList: true, subtree: true, attributeFilter: ["disabled", "data-test-script-state"] });
})();
