import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { rules, ScanError, scan, toSarif } from '#lab';
import { corpus } from './corpus/index.ts';
import { folderOf, found, scanned } from './scanned.ts';

const CP = "import { exec, execSync } from 'node:child_process';\n";

describe('the tree', () => {
  test('words in comments and texts are no code, and a call is one wherever it stands', async () => {
    const code = `// eval(text)
const warning = "never eval(text)"; const pattern = /eval\\(text\\)/;
const f = (text: string) => [{ g: () => eval(text) }];
class A { b = (text: string) => \`\${eval(text)}\`; }
/* eval(text) */ const evaluation = (text: string) => evaluator(text);
export { f, evaluation, A };`;
    expect(await found('code-injection', code)).toEqual(['app.ts:3', 'app.ts:4']);
  });

  test('a function is known by where it comes from, not by what it is called here', async () => {
    const files = {
      'shell.ts': `export { exec as run } from 'node:child_process';
export * from './more.ts';`,
      'more.ts': `import processes from 'child_process';
export const { execSync: now } = processes;
export function exec(line: string) { return line; }
export * as tools from 'node:child_process';
export * from './shell.ts';`,
      'app.ts': `import { exec, now, run } from './shell.js';
import * as all from './shell.ts'; import { missing } from './more.ts'; missing(run);
const again = run;
export const f = (line: string) => [
  run(line),
  now(line),
  again(line),
  all.now(line),
  exec(line),
  /x/.exec(line),
  all.tools.exec(line),
];`,
      'old.cjs': `const { exec: go } = require('node:child_process');
module.exports = (line) => { go(line); require('child_process')['execSync'](line); };`,
      'table.ts': `import * as processes from 'node:child_process';
export const table = { 1: processes.exec, two: processes.fork };
table[1](line);
table.two('a.js').exec(line);
require(line).exec(line);
import('node:child_process').catch((error) => error.exec(line));
switch (line) { case 'a': const run = processes.exec; break; case 'b': run(line); }`,
    };
    expect(await found('command-injection', files)).toEqual([
      'app.ts:5',
      'app.ts:6',
      'app.ts:7',
      'app.ts:8',
      'app.ts:11',
      'old.cjs:2',
      'old.cjs:2',
      'table.ts:3',
      'table.ts:7',
    ]);
  });
});

describe('taint', () => {
  test('what the author wrote is clean, in however many pieces, and what the code does not say is not', async () => {
    const code = `${CP}const TOOL = 'git';
const folder = process.pid > 1 ? '/srv' : \`/tmp\`;
execSync('git status');
execSync(TOOL + ' -C ' + folder + \` \${'status'}\`);
export const f = (name: string) => {
  execSync('git show ' + name);
  execSync(\`git show \${name}\`);
  const line = 'git show ' + name;
  execSync(line);
};`;
    expect(await found('command-injection', code)).toEqual(['app.ts:7', 'app.ts:8', 'app.ts:10']);
  });

  test("a stranger's words are followed through variables to where they do harm", async () => {
    const code = `import { readFile } from 'node:fs/promises';
app.get('/a', ({ query: { name } }) => readFile('/srv/' + name));
app.get('/b', (incoming) => {
  const { body, url } = incoming;
  readFile(url);
  let file = '/srv/none';
  if (body.name) file = \`/srv/\${body.name.trim()}\`;
  return readFile(file);
});
export const load = (name: string) => readFile('/srv/' + name);
socket.on('data', (it) => readFile(it.body.name));
cache.get(key, (it) => readFile(it.body.name));`;
    const { findings } = await scanned(code, { rules: ['path-traversal'] });
    expect(findings.map(({ span, confidence }) => [span.start.line, confidence])).toEqual([
      [2, 'high'],
      [5, 'high'],
      [8, 'high'],
    ]);
    expect(findings[2]?.message).toMatch(/body.*app\.ts:7.*file.*readFile/);
    expect(findings[0]?.message, 'each name once').not.toMatch(/name.*name/);
  });

  test('they are followed into the functions that are called with them, and out of those that return them', async () => {
    const files = {
      'files.ts': `import { readFile } from 'node:fs/promises';
export const load = (name: string) => readFile('/srv/' + name);
export function id<T>(value: T) { return value; }`,
      'app.ts': `import { readFile } from 'node:fs/promises';
import { id, load } from './files.ts';
app.get('/a', (req) => load(req.query.name));
app.get('/b', (req) => readFile(id(id(req.query.name))));
app.get('/c', () => readFile(id('/srv/index')));`,
    };
    expect(await found('path-traversal', files)).toEqual(['app.ts:4', 'files.ts:2']);
  });

  test('what cleans a text for one place leaves it dangerous for another', async () => {
    const code = `import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import escapeHtml from 'escape-html';
app.get('/', (req, res) => {
  readFile('/srv/' + basename(req.query.name));
  readFile('/srv/' + escapeHtml(req.query.name));
  res.send('<p>' + escapeHtml(req.query.name));
  res.send('<p>' + basename(req.query.name));
  res.send('<p>' + Number(req.query.page));
  readFile('/srv/' + Number(req.query.page));
});`;
    const { findings } = await scanned(code, { rules: ['path-traversal', 'unsafe-html'] });
    expect(findings.map(({ rule, span }) => [rule, span.start.line])).toEqual([
      ['path-traversal', 6],
      ['unsafe-html', 8],
    ]);
  });

  test('a statement with parameters is clean, and one put together from pieces is not', async () => {
    const code = `const TABLE = 'users';
export const f = (name: string, values: string[]) => [
  query('SELECT * FROM users WHERE name = $1', [name]),
  sql\`SELECT * FROM users WHERE name = \${name}\`,
  query(\`SELECT * FROM \${TABLE} WHERE name = $\${values.push(name)}\`, values),
  log('Select a name from ' + name + ', or update it'),
  query("SELECT * FROM users WHERE name = '" + name + "'"),
  query(\`DELETE FROM users WHERE name = '\${name}'\`),
];
export const g = (name: string) => {
  let line = 'SELECT * FROM users';
  line += ' WHERE name = ' + name;
  return line;
};`;
    expect(await found('sql-injection', code)).toEqual(['app.ts:7', 'app.ts:8', 'app.ts:12']);
  });
});

describe('the paperwork', () => {
  test('a suppression is followed if it names the rule and a reason, and reported if it does not, or does nothing', async () => {
    const code = `export const f = (text: string) => [
  eval(text), // nosec code-injection the text is ours: see build.ts
  eval(text), // nosec
  eval(text), // nosec code-injection
  eval(text), // nosec weak-hash a digest of no secret
  'nosec code-injection told in a text', eval(text),
];`;
    const report = await scanned(code);
    expect(report.suppressed.map(({ finding, reason }) => [finding.span.start.line, reason])).toEqual([
      [2, 'the text is ours: see build.ts'],
    ]);
    expect(report.findings.map(({ rule, span }) => `${rule} ${span.start.line}`)).toEqual([
      'code-injection 3',
      'suppression-bare 3',
      'code-injection 4',
      'suppression-bare 4',
      'code-injection 5',
      'suppression-unused 5',
      'code-injection 6',
    ]);
  });

  test('what the baseline knows stays known when its line moves, and its twin is new', async () => {
    const before = 'export const f = (text: string) => {\n  eval(text);\n};\n';
    const { prints } = await scanned(before);
    const after = '// a line more\n\nexport const g = (text: string) => {\n\teval(text);\n}; // g\n';
    const moved = await scanned(after, { baseline: prints });
    expect([moved.findings.length, moved.known.length, moved.exitCode]).toEqual([0, 1, 0]);
    const twice = await scanned(after.replace('eval(text);', 'eval(text);\neval(text);'), { baseline: prints });
    expect([twice.findings.length, twice.known.length, twice.exitCode]).toEqual([1, 1, 1]);
    const mended = await scanned('export {};', { baseline: prints });
    expect([mended.gone, mended.exitCode]).toEqual([prints, 0]);
  });

  test('a file that was not looked at is a finding, and the others are scanned', async () => {
    const { findings, files, exitCode } = await scanned({
      'a.ts': 'const = 1;',
      'b.ts': '\n  const x = (1;',
      'c.ts': 'export const f = (text: string) => eval(text);',
      'd.js': new Uint8Array([0x61, 0, 0x62]),
      'e.js': `a=${'1+'.repeat(499_999)}1`,
      'f.js': `/*${' '.repeat(999_996)}*/`,
    });
    expect(findings.map(({ rule, file }) => `${rule} ${file}`)).toEqual([
      'syntax-error a.ts',
      'syntax-error b.ts',
      'code-injection c.ts',
      'unread d.js',
      'unread e.js',
    ]);
    expect(findings[1]?.span.start.line).toBe(2);
    expect(findings[3]?.span).toEqual({ start: { line: 1, column: 1 }, end: { line: 1, column: 1 } });
    expect([files, exitCode]).toEqual([2, 1]);
  });
});

describe('rules', () => {
  test('each planted fault is found, its mended twin is not, and the known misses are told', async () => {
    const side = async (which: 'bad' | 'good') => {
      const files = corpus.flatMap((twin, index) => {
        const given = twin[which];
        const each = typeof given === 'string' ? { 'app.ts': given } : given;
        return Object.entries(each).map(([name, text]) => [`${index}/${name}`, text]);
      });
      const { findings } = await scanned(Object.fromEntries(files));
      return findings.map((finding) => ({ ...finding, twin: corpus[Number.parseInt(finding.file, 10)] }));
    };
    const [faulty, mended] = await Promise.all([side('bad'), side('good')]);
    const found = new Set(faulty.filter(({ rule, twin }) => rule === twin?.rule).map(({ twin }) => twin));
    const missed = corpus.filter((twin) => !found.has(twin)).map(({ rule, bad }) => `${rule}: ${JSON.stringify(bad)}`);
    const strange = faulty.filter(({ rule, twin }) => rule !== twin?.rule);
    const alarms = [...strange, ...mended].map(({ message, twin }) => `${message}: ${JSON.stringify(twin?.good)}`);
    expect(missed).toEqual([
      expect.stringContaining("processes['ex' + 'ec']"),
      expect.stringContaining("].join('')"),
      expect.stringContaining('new Store()'),
      expect.stringContaining('wanted.push'),
    ]);
    expect(alarms).toEqual([expect.stringContaining('assertName')]);
  });

  test('a secret is told from a placeholder, a label and a sentence', async () => {
    const code = `const a = { password: 'hunter2', dbPassword: "x7", PASSWORD: 'p@ss' };
const key = 'ghp_${'aB3dE6gH9jK2mN5p'.repeat(2)}aB3d';
const url = 'redis://cache:s3cr3t@db.example.org';
const clientSecret: string = 'b7-Xk29_qLm';
const accessToken = 'c29tZS1yYW5kb20t';
function f(password = 'letmein9') { return password; }
state.password = 'qwertz1' as const;
const fine = {
  password: '', Password: 'password', passwd: '<password>', pwd: 'your-password', passphrase: '********',
  passwordHint: 'rosebud', tokenUrl: 'https://id.example/token', token: 'access_token', apiKey: 'none',
  secret: 'aws-secret-name', monkey: 'bananas123456789012', pass: 'boarding', accessToken: 'aaaaaaaaaaaaaaaaaaaaa1',
  dbPassword: 'db-password', userPassword: 'password', refreshToken: 'c29tZS1yYW5kb20', idToken: 'abcabcabcabc1231',
  url: 'postgres://postgres:postgres@localhost/test', wrong_password: 'Try again, please', password2: undefined,
};`;
    expect(await found('hard-coded-secret', code)).toEqual(
      ['1', '1', '1', '2', '3', '4', '5', '6', '7'].map((line) => `app.ts:${line}`),
    );
  });

  test('a random number is dangerous where its name has to be a secret', async () => {
    const code = `const token = Math.random();
const userToken = () => Math.random().toString(36);
function newSessionId() { return Math.random(); }
function makeNonce() { const letters = [1, 2].map(() => Math.random()); return letters; }
this.otp = Math.floor(Math.random() * 1e6);
const jitter = Math.random() * 100;
const tokens = { bucket: Math.random() };
setTimeout(retry, Math.random() * 50);
const { random: dice } = Math; const salt = dice();
function makeToken() { return { delay: Math.random() }; }
function makeSecret() { const pin = Math.random(); return pin; }
const login = { nonce: Math.random() };
class Login { csrf = Math.random(); }
class Store { salt() { return Math.random(); } }
const make = function makeKey() { return Math.random(); };`;
    expect(await found('weak-random', code)).toEqual(
      [1, 2, 4, 5, 9, 11, 12, 13, 14, 15].map((line) => `app.ts:${line}`),
    );
  });

  test('names that hide those of others are their own', async () => {
    const code = `function f(eval: (text: string) => number, text: string) { return eval(text); }
function g(text: string) { function eval(it: string) { return it; } return eval(text); }
function h(text: string) { { const eval = String; } return eval(text); }
const constructor = (text: string) => text; const toString = constructor(process.title);
try { f(eval, ''); } catch (eval) { eval(toString); }
function i(text: string) { if (text) { var eval = f; } return eval(text); }
class A { static { var eval = f; eval(h); } }
switch (h) { case f: const eval = f; break; default: eval(h); }
export { g, h, i, A };`;
    expect(await found('code-injection', code)).toEqual(['app.ts:3']);
  });

  test('a check makes a name clean behind it, if it leaves what it refuses', async () => {
    const code = `import { readFile } from 'node:fs/promises';
app.get('/', (req) => {
  const { a, b, c, d, e, f } = req.query;
  readFile(a);
  if (!LIST.has(a)) throw new Error('unknown');
  readFile(a);
  if (!LIST.includes(b)) console.log('odd');
  readFile(b);
  if (!/^[a-z]+$/.test(c)) return;
  readFile(c);
  if (!/[a-z]+/.test(d)) return;
  readFile(d);
  if (LIST.has(e)) readFile(e);
  readFile(e);
  if (!f.startsWith('/srv/')) { return; }
  readFile(f);
  eval(f);
});`;
    expect(await found('path-traversal', code)).toEqual(['app.ts:4', 'app.ts:8', 'app.ts:12', 'app.ts:14']);
    expect(await found('code-injection', code)).toEqual(['app.ts:17']);
  });

  test('a function is known through what languages and compilers wrap it in', async () => {
    const files = {
      'a.cts': `import cp = require('child_process');
cp.exec(x);
export = cp.exec;`,
      'b.cjs': `module.exports.run = require(\`child_process\`).exec;
const run_1 = __importDefault(require('child_process')); (0, run_1.default.exec)(x);
(0, 0, run_1.exec)(x);`,
      'whole.cjs': "module.exports = { go: require('child_process').exec };",
      'c.ts': `import { createRequire } from 'node:module';
import { exec } from 'node:child_process';
import { run } from './b.cjs';
import again = require('./a.cjs');
run(x);
again(x);
const require = createRequire(import.meta.url);
require('child_process').exec(x);
import('node:child_process').then(({ exec: go }) => go(x));
exec.call(null, x);
exec.apply(null, [x]);
const bound = exec.bind(null); bound(x);
class A { #run = exec; go() { this.#run(x); } }
const named = function exec(line) { exec(line); };
exec.apply(null, list);
import whole, { go } from './whole.cjs'; go(x);
whole.go(x);`,
    };
    expect(await found('command-injection', files)).toEqual([
      'a.cts:2',
      'b.cjs:2',
      'b.cjs:3',
      ...[5, 6, 8, 9, 10, 11, 12, 13, 15, 16, 17].map((line) => `c.ts:${line}`),
    ]);
  });

  test("a stranger's words are not lost in the rest, the yield, the fold, the field or the other file name", async () => {
    const code = `import { copyFile, mkdir, readFile } from 'node:fs/promises';
const rest = (...all) => readFile(all[1]); rest('/srv', req.query.x);
function* each(x) { yield x; } for (const one of each(req.query.x)) readFile(one);
for (const key in req.query) readFile(key);
const second = (a, b) => readFile(b); second(...req.query.x);
readFile(('/srv/' + req.query.x).trim());
let part; ({ part } = req.query); readFile(part);
Object.keys(req.query).forEach((key) => readFile(key));
req.body.list.reduce((sum, each) => readFile(each), '');
copyFile('/srv/a', req.query.x);
mkdir(req.query.x);
const table = new Map([['a', '/srv/a']]); readFile(table.get(req.query.x));
require(req.query.x);
await import(req.query.x);
const page = { part: '<p>' }; page.part = location.hash; element.innerHTML = page.part;
const parts = { part: '<p>' }; parts[key] = location.hash; element.innerHTML = parts.part;
class B { part = '<p>'; constructor() { this.part = location.hash; } show() { element.innerHTML = this.part; } }
class C { get part() { return location.hash; } show() { element.innerHTML = this.part; } }
app.get('/', (req, res) => { res.status(404).send('<p>' + req.query.x); res.send({ x: req.query.x }); });`;
    const { findings } = await scanned(code);
    expect(findings.map(({ rule, span }) => `${rule} ${span.start.line}`)).toEqual([
      ...[2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((line) => `path-traversal ${line}`),
      'code-injection 13',
      'code-injection 14',
      ...[15, 16, 17, 18, 19].map((line) => `unsafe-html ${line}`),
    ]);
  });

  test('an assignment, a call, a member and a function are worth what they give', async () => {
    const code = `${CP}let line = location.hash;
execSync(line = 'git status');
execSync(line += ' -s');
function main() {}
execSync(\`node -e "(\${main})()"\`);
declare function quoted(name: string): string;
execSync(quoted('status'));
execSync('git log -' + Number(quoted('9')) + quoted('8'));
export const shared = (line: string) => execSync(line); shared('git status');
const own = (line: string) => execSync(line); own('git status');
const lines = { own: 'git log', theirs: req.query.line }; exec(lines.own);
exec(lines.theirs);
req.body.list.forEach((each, index) => exec('git show HEAD~' + index));`;
    const { findings } = await scanned(code, { rules: ['command-injection'] });
    expect(findings.map(({ span, confidence }) => `${span.start.line} ${confidence}`)).toEqual([
      '4 high',
      '8 low',
      '9 low',
      '10 low',
      '13 high',
      '14 low',
    ]);
  });

  test('a check counts in whatever form it is written, and only if it checks', async () => {
    const code = (lines: string) => `import { readFile } from 'node:fs/promises';
app.get('/', (req) => { let { a } = req.query;
${lines}
});`;
    const sound = `if (typeof a !== 'string' || !LIST.has(a)) throw 1; readFile(a);
if (a !== 'x' && a !== 'y') return; readFile(a);
for (a of req.body.list) { if (!LIST.has(a)) continue; readFile(a); }
readFile(LIST.has(a) ? a : 'none');
if (!LIST.has(a)) console.log('odd'); else readFile(a);
if (!LIST.has(a)) throw 1; readFile(a = a + '.txt');
LIST.has(a) && readFile(a);
if (!LIST.has(req.query.b)) throw 1; readFile(req.query.b);
if (!/^(?:a|b)[\\w.]+$/.test(a)) throw 1; readFile(a);
readFile(a.replace(/[^a-z]/g, ''));`;
    for (const line of sound.split('\n'))
      expect([line, ...(await found('path-traversal', code(line)))]).toEqual([line]);
    const hollow = `if (!LIST.has(a)) throw 1; a = req.query.b; readFile(a);
if (!LIST.has(a) && !LIST.has(req.query.b)) throw 1; readFile(a);
const { b } = req.query; if (!LIST.has(a) && !LIST.has(b)) throw 1; readFile(a);
if (!LIST.has(req.query.b) && !LIST.has(req.query.c)) throw 1; readFile(req.query.b);
if (LIST.has(a)) console.log('fine'); else readFile(a);
if (x) if (!LIST.has(a)) throw 1; readFile(a);
if (x) console.log('fine'); else if (!LIST.has(a)) throw 1; readFile(a);
if (typeof LIST.has(a)) return; readFile(a);
if (!LIST.push(a)) throw 1; readFile(a);
LIST.has(a) && (a += req.query.b, readFile(a));
if (!/^a|b$/.test(a)) throw 1; readFile(a);
if (!/^a$/m.test(a)) throw 1; readFile(a);
if (!/^.*$/.test(a)) throw 1; readFile(a);
if (!LIST.has(req.query.b)) throw 1; readFile(req.query.c);
readFile(a.replace(/[^a-z]/, ''));
readFile(a.replace(/[^a-z]/g, req.query.b));`;
    for (const line of hollow.split('\n'))
      expect([line, ...(await found('path-traversal', code(line)))]).toEqual([line, 'app.ts:3']);
  });

  test('a secret, a switch and a statement are seen in each form of text', async () => {
    const code = `const dbPassword = process.env.DB_PASSWORD ?? 'hunter2';
const pwd = \`hunter2\`;
const url = \`redis://cache:s3cr3t@\${host}\`;
class A { #password = 'hunter2'; }
const form = <Login password="hunter2" />;
https.get(url, { rejectUnauthorized: !1 });
process.env.NODE_TLS_REJECT_UNAUTHORIZED = 0;
import { hash } from 'node:crypto'; hash('md5', url);
const frame = <iframe srcDoc={location.hash} />;
export const f = (x) => { let q = 'SELECT * FROM t '; q = q + 'WHERE a = ' + x; return q; };`;
    const { findings } = await scanned({ 'app.tsx': code });
    expect(findings.map(({ rule, span }) => `${rule} ${span.start.line}`)).toEqual([
      ...[1, 2, 3, 4, 5].map((line) => `hard-coded-secret ${line}`),
      'tls-off 6',
      'tls-off 7',
      'weak-hash 8',
      'unsafe-html 9',
      'sql-injection 10',
    ]);
    const fine = `https.get(url, { rejectUnauthorized: !host });
https.get(url, { rejectUnauthorized: !0 });
https.get(url, { rejectUnauthorized: -1 });
https.get(url, { rejectUnauthorized: secure });
log('bash', line); log('(a+)+$', line);
import { spawn } from 'node:child_process'; spawn('ls', { shell: true, cwd: folder });`;
    expect((await scanned(fine)).findings).toEqual([]);
    const labels = "const de = { password: 'Passwort' }, path = { password: '/account/password' };";
    const { findings: unsure } = await scanned(labels);
    expect(unsure.map(({ confidence }) => confidence)).toEqual(['low', 'low']);
  });

  test('words of whoever starts the process are dangerous to a shell, not as a path', async () => {
    const code = `${CP}import { readFileSync } from 'node:fs';
readFileSync(process.argv[2]);
exec('ls ' + process.env.FOLDER);
const pair = process.env.FOLDER + req.query.name; exec(pair);
exec(req.query.name + process.env.FOLDER);
exec(process.env.FOLDER + '/tool');
exec(tool + req.query.name);
exec(String.raw\`ls \${req.query.name}\`);
query('SELECT * FROM t WHERE a = ' + process.env.NAME);
query('SELECT * FROM t WHERE a = ' + req.query.name);`;
    const { findings } = await scanned(code);
    expect(findings.map(({ rule, span, confidence }) => [rule, span.start.line, confidence])).toEqual([
      ['command-injection', 4, 'medium'],
      ['command-injection', 5, 'high'],
      ['command-injection', 6, 'high'],
      ['command-injection', 7, 'medium'],
      ['command-injection', 8, 'high'],
      ['command-injection', 9, 'high'],
      ['sql-injection', 10, 'medium'],
      ['sql-injection', 11, 'high'],
    ]);
  });

  test('where the author alone may speak, what the code does not say is told', async () => {
    const code = `import { runInNewContext } from 'node:vm';
import { execaCommand } from 'execa';
import { unserialize } from 'node-serialize';
eval(x);
runInNewContext(x);
new Function('a', x);
execaCommand(x);
document.write(x);
element.insertAdjacentHTML('beforeend', x);
element.innerHTML = x;
unserialize(x);
setTimeout(x); spawn(x); readFile(x); res.send(x); RegExp(x);`;
    const { findings } = await scanned(code);
    expect(findings.map(({ rule, span, confidence }) => `${rule} ${span.start.line} ${confidence}`)).toEqual([
      ...[4, 5, 6].map((line) => `code-injection ${line} low`),
      'command-injection 7 low',
      ...[8, 9, 10].map((line) => `unsafe-html ${line} low`),
      'unsafe-deserialisation 11 low',
    ]);
  });
});

describe('borders', () => {
  test('what goes round in circles ends', async () => {
    const code = `import { a as b } from './app.ts'; export { b as a }; export * from './app.ts'; export * from './two.ts';
let x = y; let y = x; x = x + req.query.z; eval(x);
const f = (n) => g(n) + f(n); const g = (n) => f(n); eval(f(req.query.z));
const o = { o }; o.o = o; eval(o.o.o); eval(b);
const h = (...all) => eval(all); h(...h); h(h(h(req.query.z)));`;
    const files = { 'app.ts': code, 'two.ts': "export * from './app.ts'; export * from './two.ts';" };
    expect((await found('code-injection', files)).slice(0, 1)).toEqual(['app.ts:2']);
  });

  test('declarations, and CommonJS that returns, are no syntax errors', async () => {
    const files = {
      'a.d.ts': 'export const a: number;',
      'b.d.mts': 'declare const a: string; export {};',
      'c.js': 'return eval(x);',
      'd.cjs': 'if (x) return;',
      'e.ts': 'return 1;',
    };
    const { findings } = await scanned(files);
    expect(findings.map(({ rule, file }) => `${rule} ${file}`)).toEqual(['code-injection c.js', 'syntax-error e.ts']);
  });

  test('names that are given again and again, and functions that call each other, are looked at in seconds', async () => {
    const steps = Array.from({ length: 60 }, (_, index) => `node = node.p${index}; node = node.next();`).join('\n');
    const many = Array.from({ length: 30 }, (_, index) => {
      const [a, b] = [(index + 1) % 30, (index + 7) % 30];
      return `function f${index}(a, b) { return f${a}(a + b, b) + f${b}(b, a); } eval(f${index}(req.query.x, y));`;
    });
    const names = Array.from({ length: 2_000 }, (_, index) => `const a${index + 1} = a${index};`).join('\n');
    const { files } = await scanned({
      'a.ts': `let node = first();\n${steps}\nnode.x();`,
      'b.ts': many.join('\n'),
      'c.ts': `const a0 = location.hash;\n${names}\neval(a2000);`,
    });
    expect(files).toBe(3);
  });

  test('a chain as long as a parser bears is followed, a longer or a deeper one is refused before it ends the process', async () => {
    const chain = (links: number) => `export const f = (x) => eval(x${" + 'a'".repeat(links)});`;
    expect(await found('code-injection', chain(9_000))).toEqual(['app.ts:1']);
    const query = `const q = "SELECT * FROM t WHERE a = '"${" + 'a'".repeat(9_000)} + name;`;
    expect(await found('sql-injection', query)).toEqual(['app.ts:1']);
    const long = `${'f(1);\n'.repeat(9_000)}eval(x);`;
    expect(await found('code-injection', long)).toEqual(['app.ts:9001']);
    for (const text of [
      chain(300_000),
      `${'('.repeat(50_000)}1`,
      `${'a?b:'.repeat(50_000)}1`,
      `${'!'.repeat(300_000)}1`,
      `${'for(;;)'.repeat(30_000)}1`,
      `${'if(a){}else '.repeat(30_000)}1`,
      `x = ${'class extends '.repeat(30_000)}a${'{}'.repeat(30_000)}`,
      `type a = ${'readonly '.repeat(30_000)}b[]`,
      `x = a${' as any'.repeat(30_000)}`,
    ]) {
      const { findings } = await scanned(text, { maxBytes: 10_000_000 });
      expect(findings.map(({ rule }) => rule)).toEqual(['unread']);
    }
  });

  test('each file is read once, links are not followed, and a pipe is not opened', async () => {
    const root = await folderOf({
      'a.ts': 'eval(x);',
      'sub/b.mts': 'eval(x);',
      'node_modules/c.js': 'eval(x);',
      'd.md': 'eval(x)',
    });
    await symlink(root, join(root, 'sub', 'loop'));
    await symlink(join(root, 'a.ts'), join(root, 'z.ts'));
    const maker = 'mkfifo';
    execFileSync(maker, [join(root, 'pipe.ts')]);
    const report = await scan([root, join(root, 'sub'), join(root, 'z.ts')], { root });
    expect(report.findings.map(({ file }) => file)).toEqual(['a.ts', 'sub/b.mts']);
    expect(report.files).toBe(2);
    const other = await scan([join(root, 'sub'), root], { root, ignore: ['sub', '.git'] });
    expect(other.findings.map(({ file }) => file)).toEqual(['a.ts', 'node_modules/c.js', 'sub/b.mts']);
  });

  test('what is scanned is never run', async () => {
    const root = await folderOf({});
    const mark = join(root, 'mark');
    const code = `import { writeFileSync } from 'node:fs';\nwriteFileSync(${JSON.stringify(mark)}, 'run');`;
    await scanned({ 'app.ts': code, 'package.json': '{"type":"module"}', 'eslint.config.js': code });
    expect(existsSync(mark)).toBe(false);
  });

  test('places count lines and UTF-16 columns from 1, whatever ends the lines', async () => {
    const code = '\ufeffexport const f = (x: string) => {\r\n  /* 😀 */ eval(x);\r  eval(\n    x,\n  );\n};';
    const { findings } = await scanned(code);
    expect(findings.map(({ span: { start, end } }) => [start.line, start.column, end.line, end.column])).toEqual([
      [2, 12, 2, 19],
      [3, 3, 5, 4],
    ]);
  });

  test('a suppression stands in a comment: beside its line, or alone above it', async () => {
    const code = `export const f = (text: string) => {
  // nosec code-injection,weak-hash our own text
  eval(text);
  /*
   * nosec code-injection our own text
   */
  eval(text);
  eval(text); /* NOSEC code-injection ours */
  // nosecurity code-injection ours
  eval(text);
  // nosec this one is fine
};`;
    const { findings, suppressed } = await scanned(code);
    expect(findings.map(({ rule, span }) => `${rule} ${span.start.line}`)).toEqual([
      'code-injection 10',
      'suppression-bare 11',
    ]);
    expect(suppressed.length).toBe(3);
    const jsx = await scanned({
      'app.tsx':
        'export const A = ({ h }) => <p>\n  {/* nosec unsafe-html ours */}\n  <b dangerouslySetInnerHTML={{ __html: h }} />\n</p>;',
    });
    expect([jsx.findings.length, jsx.suppressed.length]).toEqual([0, 1]);
    const atStart = await scanned('// nosec code-injection ours\neval(x);');
    expect([atStart.findings.length, atStart.suppressed.length]).toEqual([0, 1]);
    const some = await scanned('// nosec weak-hash no secret\nexport {};', { rules: ['code-injection'] });
    expect(some.findings).toEqual([]);
  });

  test('what no scan can be made of is refused, and an empty scan is no clean one', async () => {
    const root = await folderOf({ 'a.md': '', 'b.ts': '' });
    const bad: [string[], object][] = [
      [[], {}],
      [[join(root, 'none')], {}],
      [[join(root, 'a.md')], {}],
      [[root], { ignore: ['b.ts'] }],
      [[root], { rules: ['toString'] }],
      [[root], { rules: [] }],
      [[root], { confidence: 'High' }],
      [[root], { baseline: { prints: [] } }],
      [[root, join(root, 'a.md')], {}],
      [[root], { maxBytes: Number.NaN }],
      [[root], { maxBytes: 0 }],
    ];
    for (const [paths, options] of bad) await expect(scan(paths, options)).rejects.toThrow(ScanError);
    await expect(scan([])).rejects.toThrow(/file or a folder/);
    const reason = new Error('enough');
    await expect(scan([root], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const size = await scan([root], { root, maxBytes: 1 });
    expect([size.files, size.exitCode]).toEqual([1, 0]);
  });

  test('less likely findings can be left out', async () => {
    const code = 'export const f = (x: string) => { eval(x); eval(process.argv[2]); eval(req.body.x); };';
    const counts = await Promise.all(
      (['low', 'medium', 'high'] as const).map((confidence) => scanned(code, { confidence })),
    );
    expect(counts.map(({ findings }) => findings.length)).toEqual([3, 2, 1]);
  });

  test('SARIF names each rule, place and print', async () => {
    const report = await scanned({
      'a b/ü#.ts': '\n  eval(req.query.x);',
      'z.ts': "createHash('md5'); const q = 'SELECT * FROM t WHERE a = ' + a;",
    });
    const log = toSarif(report);
    const [run] = log.runs;
    const known = run?.tool.driver.rules.map(({ id }) => id);
    expect(known).toEqual(rules.map(({ id }) => id));
    expect(log.version).toBe('2.1.0');
    expect(run?.results).toMatchObject([
      {
        ruleId: 'code-injection',
        level: 'error',
        locations: [
          {
            physicalLocation: {
              artifactLocation: { uri: 'a%20b/%C3%BC%23.ts' },
              region: { startLine: 2, startColumn: 3, endLine: 2, endColumn: 20 },
            },
          },
        ],
        partialFingerprints: { 'findingHash/v1': report.prints[0] },
        properties: { confidence: 'high' },
      },
      { ruleId: 'sql-injection', level: 'error', properties: { confidence: 'medium' } },
    ]);
    expect(JSON.parse(JSON.stringify(log))).toEqual(log);
  });

  test('the scanner finds nothing in itself', async () => {
    const here = join(import.meta.dirname, '..', 'src');
    const { findings, files } = await scan([here], { root: here });
    expect(findings).toEqual([]);
    expect(files).toBeGreaterThan(6);
  });
});
