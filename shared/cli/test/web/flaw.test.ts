import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Reference } from '../../src/web/flaw.ts';

const src = `
class Base { protected view(): number[] { return [...this.own]; } }
export class Order extends Base { total(): number { return 1; } }
export const rounded = operator((a) => half(a));
export const board = { name: 'board', on: { Paid: 1, 'Sent-on': 2 } };
`;

test('a flaw is shown whatever it replaces: an inherited method, a constant, a part of an object, or nothing', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'flaw-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  await mkdir(join(dir, 'src'));
  await writeFile(join(dir, 'src/index.ts'), src);
  const reference = await Reference.of(dir);
  const shown = (text: string) =>
    reference
      .diff('pitfalls/x.ts', `import { Order as Reference, Order as Other } from '../src/index.ts';\n${text}`)
      .map(({ title, lines }) => [
        title,
        ...lines.filter(({ sign }) => sign !== ' ').map(({ sign, text }) => sign + text),
      ]);
  expect(shown('class Order extends Reference { protected override view(): number[] { return this.own; } }')).toEqual([
    [
      'Order.view',
      '-protected view(): number[] { return [...this.own]; }',
      '+protected view(): number[] { return this.own; }',
    ],
  ]);
  // By whatever name it is imported, and called here.
  expect(shown('class Mine extends Other { total(): number { return 2; } }')).toEqual([
    ['Order.total', expect.any(String), expect.any(String)],
  ]);
  expect(shown('export const rounded = operator((a) => a);')).toEqual([
    ['rounded', expect.any(String), expect.any(String)],
  ]);
  expect(shown("export const board = { ...reference, on: { ...reference.on, 'Sent-on': 3 } };")).toEqual([
    ['board.on.Sent-on', "-'Sent-on': 2", "+'Sent-on': 3"],
  ]);
  expect(shown('class Order extends Reference { save(): void {} }')).toEqual([['Order.save', '+save(): void {}']]);
});
