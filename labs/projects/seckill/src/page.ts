/** The live view: stock and orders as they are now. It reads the NDJSON stream of `/items/:sku/live`. */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Seckill</title>
<style>
  :root { color-scheme: light dark; --bar: #c8102e; --held: #e8a33d; --paid: #2e7d5b; --rest: #8884; }
  body { font: 1rem/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 44rem; padding: 1rem; }
  h1 { font-size: 1.25rem; }
  output { font-size: clamp(3rem, 16vw, 7rem); font-weight: 700; line-height: 1; display: block; }
  .bar { display: flex; height: 1.5rem; border-radius: .25rem; overflow: hidden; background: var(--rest); margin: 1rem 0; }
  .bar > span { transition: width .2s; }
  .paid { background: var(--paid); } .ordered { background: var(--held); } .reserved { background: var(--bar); }
  dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .5rem; }
  dt::before { content: ''; display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .4em; background: var(--c, var(--rest)); }
  dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
  form { display: flex; flex-wrap: wrap; gap: .5rem; } input, button { font: inherit; padding: .4rem .6rem; }
</style>
<h1 id="title">On sale</h1>
<output id="stock" aria-live="polite">…</output>
<p id="word">left</p>
<div class="bar" role="img" aria-labelledby="title"><span class="paid"></span><span class="ordered"></span><span class="reserved"></span></div>
<dl>
  <div><dt style="--c: var(--paid)">paid</dt><dd id="paid">0</dd></div>
  <div><dt style="--c: var(--held)">ordered, to be paid</dt><dd id="ordered">0</dd></div>
  <div><dt style="--c: var(--bar)">on the way to an order</dt><dd id="reserved">0</dd></div>
</dl>
<form id="form">
  <label>You are <input name="user" required pattern="[\\w.@\\-]{1,64}" autocomplete="username"></label>
  <button>Buy one</button>
  <p id="said" role="status"></p>
</form>
<script type="module">
  const sku = new URLSearchParams(location.search).get('sku') ?? 'kettle';
  const at = (id) => document.getElementById(id);
  at('title').textContent = sku;
  document.title = sku + ' · seckill';
  function show({ initial, stock, reserved, ordered, paid }) {
    at('stock').textContent = stock ?? '–';
    at('word').textContent = stock === undefined ? 'being counted' : 'of ' + initial + ' left';
    const parts = { paid, ordered: ordered - paid, reserved: Math.max(0, reserved - ordered) };
    for (const [name, count] of Object.entries(parts)) {
      at(name).textContent = count;
      document.querySelector('.bar .' + name).style.width = (100 * count) / Math.max(1, initial) + '%';
    }
  }
  async function watch() {
    const response = await fetch('/items/' + encodeURIComponent(sku) + '/live');
    if (!response.ok) throw new Error(response.status);
    let rest = '';
    for (const reader = response.body.pipeThrough(new TextDecoderStream()).getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\\n');
      rest = lines.pop();
      for (const line of lines) show(JSON.parse(line));
    }
  }
  const words = { ok: 'Yours: pay for order ', sold_out: 'Sold out', duplicate: 'You have one', cancelled: 'Not paid in time: try again for another', not_started: 'Not yet', busy: 'Too many at once: try again' };
  // The same for every try of this visit: whoever asks again gets the same one.
  let requestId = crypto.randomUUID();
  at('form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const user = new FormData(event.target).get('user');
    const body = JSON.stringify({ user, sku, requestId });
    try {
      const response = await fetch('/buy', { method: 'POST', headers: { 'content-type': 'application/json' }, body });
      const { outcome, orderId = '' } = await response.json();
      if (outcome === 'cancelled') requestId = crypto.randomUUID();
      at('said').textContent = response.ok ? words[outcome] + orderId : 'That did not work: try again';
    } catch {
      at('said').textContent = 'No answer: try again';
    }
  });
  for (;;) {
    await watch().catch(() => {});
    at('word').textContent = 'no connection; trying again';
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
</script>
</html>
`;
