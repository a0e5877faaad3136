import { page } from './page.ts';

/** Where texts are written. All that strangers wrote comes as JSON, and is shown by `textContent` and `value`. */
export const DESK = page(
  'The desk',
  `<h1>The desk</h1><p id="said" class="notice" role="status" hidden></p>
<form id="login"><label>Name <input name="name" autocomplete="username" required></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label><button>Log in</button></form>
<section id="work" hidden><p class="meta" id="who"></p><button id="new">New text</button><ul class="list" id="texts"></ul>
<form id="edit" hidden><p class="meta wide" id="state"></p>
<label class="wide">Title <input name="title" maxlength="200" required></label>
<label class="wide">Address <input name="slug" maxlength="80" placeholder="made of the title"></label>
<label class="wide">Teaser <input name="teaser" maxlength="500"></label>
<label class="wide">Text, in HTML <textarea name="body"></textarea></label><button>Save</button>
<label>Picture <input type="file" id="picture" accept="image/png,image/jpeg,image/gif,image/webp"></label>
<label>For schedule <input type="datetime-local" name="at"></label><span id="actions"></span></form>
<section id="theirs" hidden><h2>The text as it is now</h2><p class="hint" id="changed"></p><pre id="other"></pre>
<button id="take">My text replaces it</button></section></section><script src="/desk.js" defer></script>`,
);

export const DESK_SCRIPT = `'use strict';
const $ = (id) => document.getElementById(id);
const form = $('edit').elements;
const actions = { draft: ['submit'], review: ['return', 'publish', 'schedule'], scheduled: ['return', 'publish'], published: ['unpublish'] };
const fields = ['title', 'slug', 'teaser', 'body'];
let token = '';
let open;
const say = (words) => { $('said').textContent = words; $('said').hidden = words === ''; };
async function ask(path, body, type = 'application/json') {
  const headers = { authorization: 'Bearer ' + token, ...(body === undefined ? {} : { 'content-type': type }) };
  const answer = await fetch(path, { method: body === undefined ? 'GET' : 'POST', headers, body });
  const said = await answer.json();
  if (answer.ok) return said;
  // His session is over, and what he has typed stands here still.
  if (answer.status === 401) $('login').hidden = false;
  const error = new Error(said.error);
  error.said = said;
  throw error;
}
const send = (path, value) => ask(path, JSON.stringify(value));
const run = (work) => async (event) => {
  event.preventDefault();
  say('');
  try { await work(event); } catch (error) {
    say(error.message);
    if (error.said?.current) differ(error.said);
  }
};
function differ({ current, changed }) {
  $('changed').textContent = 'Changed meanwhile: ' + (changed.join(', ') || 'its state');
  $('other').textContent = fields.map((field) => field + ': ' + current[field]).join('\\n');
  $('theirs').hidden = false;
  $('take').onclick = () => { open.revision = current.revision; $('theirs').hidden = true; say('Save again to replace it.'); };
}
let asShown = [];
const typed = () => fields.map((field) => form[field].value);
const keep = () => {
  if (!$('edit').hidden && typed().some((value, n) => value !== asShown[n])) throw new Error('Save your text first, or empty this page by loading it again.');
};
function show(article) {
  open = article;
  for (const field of fields) form[field].value = article[field] ?? '';
  $('state').textContent = article.id ? article.state + ', revision ' + article.revision : 'new';
  $('actions').replaceChildren(...(actions[article.state] ?? []).map((action) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = action[0].toUpperCase() + action.slice(1);
    button.onclick = run(async () => {
      keep();
      if (action === 'schedule' && form.at.value === '') throw new Error('For when? Choose a day and a time first.');
      const at = action === 'schedule' ? { publishAt: new Date(form.at.value).toISOString() } : {};
      show(await send('/api/articles/' + open.id + '/' + action, { revision: open.revision, ...at }));
      await list();
      say('Done: ' + open.state + '.');
    });
    return button;
  }));
  asShown = typed();
  $('edit').hidden = false;
  $('theirs').hidden = true;
}
async function list() {
  const articles = await ask('/api/articles');
  $('texts').replaceChildren(...articles.map((article) => {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.textContent = article.title;
    button.onclick = run(async () => {
      keep();
      show(await ask('/api/articles/' + article.id));
    });
    item.append(button, ' ' + article.state + ', by ' + article.author);
    return item;
  }));
}
$('login').onsubmit = run(async () => {
  const given = Object.fromEntries(new FormData($('login')));
  const said = await send('/api/login', given);
  token = said.token;
  $('who').textContent = said.name + ', ' + said.role;
  $('login').hidden = true;
  $('work').hidden = false;
  await list();
});
$('new').onclick = run(async () => { keep(); show({ state: '' }); form.title.focus(); });
$('edit').onsubmit = run(async () => {
  const text = Object.fromEntries(fields.map((field) => [field, form[field].value]).filter(([field, value]) => field !== 'slug' || value));
  show(await send('/api/articles' + (open.id ? '/' + open.id : ''), open.id ? { ...text, revision: open.revision } : text));
  await list();
  say('Saved, revision ' + open.revision + '.');
});
$('picture').onchange = run(async () => {
  const [file] = $('picture').files;
  const { url } = await ask('/api/media', file, 'application/octet-stream');
  form.body.value += '\\n<img src="' + url + '" alt="">';
  say('The picture stands at the end of the text. Say in alt what it shows.');
});
`;
