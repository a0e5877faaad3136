/** The page of a hall. NONCE becomes what its Content-Security-Policy lets run. */
export const page = `<!doctype html>
<html lang="en">
  <meta charset="utf-8" />
  <meta name="viewport" content="width=device-width, initial-scale=1" />
  <title>Village notice board</title>
  <style nonce="NONCE">
    :root {
      color-scheme: light dark;
      --paper: light-dark(#fbfaf6, #191b1e);
      --card: light-dark(#fff, #24272c);
      --ink: light-dark(#1e2329, #eceae4);
      --soft: light-dark(#5b636d, #a9b0b8);
      --line: light-dark(#dcd8cd, #3a3f46);
      --mine: light-dark(#e4f0e8, #1f3a2c);
      --accent: light-dark(#1d6b45, #79d3a4);
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 44rem; height: 100dvh; margin: 0 auto; padding: 1rem; display: flex; flex-direction: column; gap: 0.75rem; }
    header { display: flex; flex-wrap: wrap; align-items: baseline; justify-content: space-between; gap: 0 1rem; }
    h1 { margin: 0; font-size: 1.25rem; }
    p { margin: 0; color: var(--soft); }
    #notes { flex: 1; margin: 0; padding: 0; overflow-y: auto; list-style: none; display: flex; flex-direction: column; gap: 0.5rem; }
    li { width: fit-content; max-width: 85%; padding: 0.4rem 0.8rem; border: 1px solid var(--line); border-radius: 0.8rem; background: var(--card); overflow-wrap: anywhere; white-space: pre-wrap; }
    li.mine { align-self: flex-end; background: var(--mine); }
    li.gap { align-self: center; border-style: dashed; color: var(--soft); background: none; }
    li b { display: block; font-size: 0.85rem; color: var(--accent); }
    form { display: flex; gap: 0.5rem; }
    input { flex: 1; min-width: 0; padding: 0.6rem 0.8rem; border: 1px solid var(--soft); border-radius: 0.5rem; background: var(--card); color: inherit; font: inherit; }
    button { padding: 0.6rem 1.2rem; border: 0; border-radius: 0.5rem; background: var(--accent); color: var(--paper); font: inherit; font-weight: 600; }
    button:disabled { opacity: 0.5; }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
  </style>
  <main>
    <header>
      <h1>Village notice board</h1>
      <p id="state" role="status">connecting …</p>
    </header>
    <p id="here"></p>
    <ol id="notes" role="log" aria-label="Notes"></ol>
    <form>
      <input name="text" aria-label="Your note" placeholder="Your note" maxlength="2000" autocomplete="off" required />
      <button type="submit" disabled>Pin up</button>
    </form>
  </main>
  <script nonce="NONCE">
    const [state, here, notes, form] = ['#state', '#here', '#notes', 'form'].map((each) => document.querySelector(each));
    const [input, button] = form.elements;
    let socket;
    let last;
    let you;
    let attempts = 0;
    const say = (text, mine, who) => {
      const note = document.createElement('li');
      if (who === undefined) note.className = 'gap';
      else note.append(Object.assign(document.createElement('b'), { textContent: who }));
      if (mine) note.className = 'mine';
      // As text, whatever it looks like.
      note.append(text);
      notes.append(note);
      notes.scrollTop = notes.scrollHeight;
    };
    const take = {
      joined({ at, you: name, here }) {
        last = at;
        you = name;
        attempts = 0;
        state.textContent = 'connected as ' + you;
        button.disabled = false;
        take.here({ here });
      },
      message({ id, body }) {
        last = id;
        say(body.text, body.who === you, body.who);
      },
      resync: () => say('Older notes are no longer kept.'),
      here: ({ here: names }) => (here.textContent = 'Here: ' + names.join(', ')),
      said: () => form.reset(),
      refused: () => (state.textContent = 'Not pinned up: try again'),
    };
    const connect = () => {
      socket = new WebSocket(location.origin.replace('http', 'ws') + '/board');
      socket.onopen = () => socket.send(JSON.stringify({ type: 'join', after: last }));
      socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        take[message.type]?.(message);
      };
      socket.onclose = () => {
        button.disabled = true;
        state.textContent = 'away, trying again …';
        // With jitter: all that were cut off would come back in the same moment.
        setTimeout(connect, Math.random() * Math.min(100 * 2 ** attempts++, 10_000));
      };
    };
    form.onsubmit = (event) => {
      event.preventDefault();
      socket.send(JSON.stringify({ type: 'say', text: input.value }));
    };
    setInterval(() => socket.readyState === WebSocket.OPEN && socket.send('{"type":"who"}'), 300);
    connect();
  </script>
</html>
`;
