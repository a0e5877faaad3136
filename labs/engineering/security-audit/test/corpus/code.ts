import type { Twin } from './twin.ts';

/** Text that is run: as code, by a shell, as SQL. */
export const code: readonly Twin[] = [
  {
    rule: 'code-injection',
    bad: `app.get('/sum', (req, res) => res.json(eval(req.query.formula)));`,
    good: `// eval(req.query.formula) is how it was done before
const operators = new Map([['+', (a, b) => a + b]]);
app.get('/sum', (req, res) => res.json(operators.get(req.query.operator)?.(1, 2)));`,
  },
  {
    rule: 'code-injection',
    bad: `export const compile = (body) => new Function('row', body);`,
    good: `export const warning = 'never call eval(text) or new Function(text)';
export const compile = (field) => (row) => row.get(field);`,
  },
  {
    rule: 'code-injection',
    bad: `const run = globalThis.eval;
export function calculate(text) { return run(text); }`,
    good: `export const evaluate = (engine, text) => engine.eval(text);`,
  },
  {
    rule: 'code-injection',
    bad: `import { runInNewContext as run } from 'node:vm';
app.post('/rule', (req, res) => res.json(run(req.body.rule, {})));`,
    good: `import { runInNewContext as run } from 'node:vm';
export const realm = run('Array');`,
  },
  {
    rule: 'command-injection',
    bad: `import { exec } from 'node:child_process';
app.get('/ping', (req, res) => exec('ping -c 1 ' + req.query.host, (_, out) => res.json({ out })));`,
    good: `import { execFile } from 'node:child_process';
app.get('/ping', (req, res) => execFile('ping', ['-c', '1', '--', req.query.host], (_, out) => res.json({ out })));`,
  },
  {
    rule: 'command-injection',
    bad: `const { execSync: sh } = require('child_process');
module.exports.archive = (name) => sh(\`tar czf \${name}.tgz data\`);`,
    good: `const { execSync: sh } = require('child_process');
module.exports.revision = () => sh('git rev-parse HEAD');`,
  },
  {
    rule: 'command-injection',
    bad: `import * as processes from 'node:child_process';
export const list = (folder) => processes.spawn(\`ls \${folder}\`, { shell: true });`,
    good: `import * as processes from 'node:child_process';
export const list = (folder) => processes.spawn('ls', ['--', folder], { shell: false });`,
  },
  {
    rule: 'command-injection',
    bad: `import { promisify } from 'node:util';
import { exec } from 'node:child_process';
const run = promisify(exec);
export async function convert(file) { await run('convert ' + file); }`,
    good: `const pattern = /convert (\\w+)/;
export function convert(line) { return pattern.exec(line)?.[1]; }`,
  },
  {
    rule: 'command-injection',
    bad: `import { spawn } from 'node:child_process';
spawn('bash', ['-c', 'du -sh ' + process.argv[2]]);`,
    good: `import { spawn } from 'node:child_process';
spawn('du', ['-sh', '--', process.argv[2] ?? '.']);`,
  },
  {
    rule: 'command-injection',
    bad: {
      'shell.ts': `export { exec as run } from 'node:child_process';`,
      'app.ts': `import { run } from './shell.ts';
app.get('/whois', (req) => run('whois ' + req.query.name));`,
    },
    good: {
      'shell.ts': `export const run = (line) => line.toUpperCase();`,
      'app.ts': `import { run } from './shell.ts';
app.get('/whois', (req) => run('whois ' + req.query.name));`,
    },
  },
  {
    rule: 'command-injection',
    bad: `import { execSync } from 'node:child_process';
function backup(folder) { execSync('rsync -a ' + folder + ' /backup'); }
app.post('/backup', (req) => backup(req.body.folder));`,
    good: `import { execSync } from 'node:child_process';
function backup(folder) { execSync('rsync -a ' + folder + ' /backup'); }
backup('/srv/data');`,
  },
  {
    rule: 'command-injection',
    bad: `import { execSync } from 'node:child_process';
const escapeHtml = (text) => text;
app.get('/log', (req) => execSync('grep ' + escapeHtml(req.query.word) + ' app.log'));`,
    good: `import { execSync } from 'node:child_process';
import { quote } from 'shell-quote';
app.get('/log', (req) => execSync('grep -- ' + quote([req.query.word]) + ' app.log'));`,
  },
  {
    rule: 'sql-injection',
    bad: `const query = "SELECT * FROM users WHERE name = '" + userInput + "'";`,
    good: `const query = 'SELECT * FROM users WHERE name = $1';
await db.query(query, [userInput]);`,
  },
  {
    rule: 'sql-injection',
    bad: `export const find = (name) => db.query(\`SELECT id FROM users WHERE name = '\${name}'\`);`,
    good: `export const find = (name) => sql\`SELECT id FROM users WHERE name = \${name}\`;`,
  },
  {
    rule: 'sql-injection',
    bad: `export function list(filter) {
  let query = 'SELECT * FROM books WHERE true';
  if (filter.name) query += " AND name = '" + filter.name + "'";
  return db.query(query);
}`,
    good: `export function list(filter) {
  const values = [];
  let query = 'SELECT * FROM books WHERE true';
  if (filter.name) query += \` AND name = $\${values.push(filter.name)}\`;
  return db.query(query, values);
}`,
  },
  {
    rule: 'sql-injection',
    bad: `const clean = (text) => text.trim();
app.delete('/user', (req) => db.query('DELETE FROM users WHERE id = ' + clean(req.query.id)));`,
    good: `const TABLE = 'users';
app.delete('/user', (req) => db.query(\`DELETE FROM \${TABLE} WHERE id = \${Number(req.query.id)}\`));`,
  },
  {
    rule: 'sql-injection',
    bad: `const SORT = ['name', 'age'];
app.get('/users', (req) => db.query(\`SELECT * FROM users ORDER BY \${req.query.sort}\`));`,
    good: `const SORT = ['name', 'age'];
app.get('/users', (req) => {
  const { sort } = req.query;
  if (!SORT.includes(sort)) throw new Error('unknown order');
  return db.query(\`SELECT * FROM users ORDER BY \${sort}\`);
});`,
  },
  {
    rule: 'sql-injection',
    bad: `app.get('/user', ({ params: { id } }, res) => res.json(db.query('select * from users where id = ' + id)));`,
    good: `app.get('/user', ({ params: { id } }, res) => res.json({ text: 'Select a user from the list, not ' + id }));`,
  },
  {
    rule: 'sql-injection',
    bad: {
      'where.ts': `export default function where(name) { return "name = '" + name + "'"; }`,
      'app.ts': `import where from './where.js';
app.get('/find', (req) => db.query('SELECT * FROM users WHERE ' + where(req.query.name)));`,
    },
    good: {
      'where.ts': `export default function where() { return 'name = $1'; }`,
      'app.ts': `import where from './where.js';
app.get('/find', (req) => db.query('SELECT * FROM users WHERE ' + where(), [req.query.name]));`,
    },
  },
];
