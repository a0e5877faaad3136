import type { Twin } from './twin.ts';

/** Beyond what can be read from the text with this effort: faults that are missed, and one alarm that is false. */
export const beyond: readonly Twin[] = [
  {
    rule: 'command-injection',
    bad: `import * as processes from 'node:child_process';
app.get('/ping', (req) => processes['ex' + 'ec']('ping ' + req.query.host));`,
    good: `import * as processes from 'node:child_process';
app.get('/ping', (req) => processes['exec' + 'File']('ping', ['--', req.query.host]));`,
  },
  {
    rule: 'sql-injection',
    bad: `export const find = (name) => db.query(["SELECT * FROM users WHERE name = '", name, "'"].join(''));`,
    good: `export const find = (name) => db.query(['SELECT * FROM users', 'WHERE name = $1'].join(' '), [name]);`,
  },
  {
    rule: 'path-traversal',
    bad: `import { unlink } from 'node:fs/promises';
class Store { remove(name) { return unlink('/srv/' + name); } }
const store = new Store();
app.delete('/file', (req) => store.remove(req.params.name));`,
    good: `import { unlink } from 'node:fs/promises';
class Store { remove(id) { return unlink('/srv/' + Number(id)); } }
const store = new Store();
app.delete('/file', (req) => store.remove(req.params.id));`,
  },
  {
    rule: 'path-traversal',
    bad: `import { readFile } from 'node:fs/promises';
const wanted = [];
app.post('/file', async (req) => { wanted.push(req.body.name); await readFile(wanted[0]); });`,
    good: `import { readFile } from 'node:fs/promises';
function assertName(name) { if (!/^\\w+$/.test(name)) throw new Error('not a name'); }
app.post('/file', async (req) => { assertName(req.body.name); await readFile('/srv/' + req.body.name); });`,
  },
];
