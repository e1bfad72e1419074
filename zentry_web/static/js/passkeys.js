// Passkeys: a form[data-passkey="create" or "get"] asks its data-options for what to do, puts the device's answer into
// its field "credential" and is sent like any other form. What it says when that fails stands in its data-said-…. Without this file, or a browser that can, they stay hidden.
(() => {
  "use strict";
  if (!window.PublicKeyCredential) return;
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const keys = (list) => (list ?? []).map((key) => ({...key, id: bytes(key.id)}));
  const tell = (title, detail) => document.dispatchEvent(
    new CustomEvent("toast", {detail: {kind: "warning", title, text: detail, key: "passkey"}}));

  async function ask(form) {
    const headers = {"X-CSRFToken": document.querySelector('meta[name="csrf-token"]').content, Accept: "application/json"};
    const answer = await fetch(form.dataset.options, {method: "POST", headers});
    if (!answer.ok) {
      if ([401, 403].includes(answer.status)) location.reload(); // the page itself leads on to what is missing
      throw new Error((await answer.json()).detail);
    }
    const asked = await answer.json();
    asked.challenge = bytes(asked.challenge);
    asked.allowCredentials = keys(asked.allowCredentials);
    asked.excludeCredentials = keys(asked.excludeCredentials);
    if (asked.user) asked.user.id = bytes(asked.user.id);
    return asked;
  }
  function written(made) {
    const {response} = made;
    const parts = {clientDataJSON: text(response.clientDataJSON)};
    if (response.attestationObject) {
      parts.attestationObject = text(response.attestationObject);
      parts.transports = response.getTransports?.() ?? [];
    } else {
      parts.authenticatorData = text(response.authenticatorData);
      parts.signature = text(response.signature);
      if (response.userHandle) parts.userHandle = text(response.userHandle);
    }
    return JSON.stringify({id: made.id, rawId: text(made.rawId), type: made.type, response: parts});
  }
  async function run(form) {
    const button = form.querySelector("button[type=submit]");
    button.disabled = true;
    try {
      const publicKey = await ask(form);
      const made = await navigator.credentials[form.dataset.passkey]({publicKey});
      form.elements.credential.value = written(made);
      form.submit();
    } catch (error) {
      button.disabled = false;
      const said = form.dataset;
      if (error.name === "InvalidStateError") tell(said.saidKnown, "");
      else if (error instanceof DOMException) tell(said.saidNone, said.saidWhy);
      else tell(said.saidFailed, error.message);
    }
  }
  document.addEventListener("submit", (event) => {
    const form = event.target.closest?.("form[data-passkey]");
    if (!form) return;
    event.preventDefault();
    run(form);
  });
  const show = () => document.querySelectorAll("[data-passkey-shown][hidden]").forEach((el) => { el.hidden = false; });
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show); else show();
})();
