// Pays by card with the provider's own fields. Needs Stripe.js, which the pay page alone may load.
"use strict";
{
  const form = document.getElementById("pay-card");
  const button = form.querySelector("button");
  const problem = document.getElementById("pay-error");

  const say = (text) => {
    problem.textContent = text;
    problem.hidden = !text;
  };

  const begin = () => {
    const stripe = window.Stripe(form.dataset.key);
    const look = getComputedStyle(document.getElementById("card-fields"));
    const style = { base: { color: look.color, fontSize: "16px", "::placeholder": { color: look.color } } };
    const card = stripe.elements().create("card", { style, hidePostalCode: true });
    card.mount("#card-fields");
    button.disabled = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      button.disabled = true;
      say("");
      const answer = await stripe.confirmCardPayment(form.dataset.secret, { payment_method: { card } });
      if (answer.error) {
        say(answer.error.message || form.dataset.saidFailed);
        button.disabled = false;
      } else {
        window.location.assign(form.dataset.done);
      }
    });
  };

  if (window.Stripe) begin();
  else say(form.dataset.saidNoScript);
}
