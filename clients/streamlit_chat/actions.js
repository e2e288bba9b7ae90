// Below each message: an element that buttons.js makes, which comes with the page once. This stub comes with each message.
export default function ({ data, parentElement, setTriggerValue }) {
  customElements.whenDefined("pustaka-buttons").then(() => {
    let buttons = parentElement.querySelector("pustaka-buttons");
    if (!buttons) parentElement.append((buttons = document.createElement("pustaka-buttons")));
    buttons.show(data, setTriggerValue);
  });
}
