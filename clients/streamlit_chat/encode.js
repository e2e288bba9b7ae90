// A file's bytes in Base64; "" where the browser cannot read it any more.
function encode(file) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(reader.result.slice(reader.result.indexOf(",") + 1)));
    reader.addEventListener("error", () => resolve(""));
    reader.readAsDataURL(file);
  });
}
