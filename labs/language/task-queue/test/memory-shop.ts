// A shop that keeps its orders in an array: it says "accepted", and develops one film after the other.
const orders: string[] = [];
let busy = false;

process.on('message', async (film: string) => {
  orders.push(film);
  process.send?.({ accepted: film });
  if (busy) return;
  busy = true;
  for (let next = orders.shift(); next !== undefined; next = orders.shift()) {
    await new Promise((developed) => setTimeout(developed, 20));
    process.send?.({ done: next });
  }
  busy = false;
});
