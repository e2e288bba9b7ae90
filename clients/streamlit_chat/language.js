// In which language the page speaks. The choice stands in a cookie, since the page's server needs it before any script runs. Streamlit
// calls this again whenever its data change.
const lifetimeS = 31_536_000;

export default function ({ data, parentElement, setTriggerValue }) {
  const list = parentElement.querySelector("select") ?? make(parentElement, data.languages);
  list.value = data.current;
  list.ariaLabel = list.title = data.label;
  list.onchange = () => {
    keep(data.cookie, list.value, data.isKept);
    setTriggerValue("chosen", list.value);
  };
}

// Each name is in its own language.
function make(parent, languages) {
  const list = document.createElement("select");
  for (const [code, name] of languages) list.append(Object.assign(new Option(name, code), { lang: code }));
  parent.append(list);
  return list;
}

function keep(cookie, code, isKept) {
  const lifetime = isKept ? `; Max-Age=${lifetimeS}` : "";
  document.cookie = `${cookie}=${code}; Path=/; SameSite=Lax${lifetime}${location.protocol === "https:" ? "; Secure" : ""}`;
}
