import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { redirect } from '#lab';

const stream = () => {
  const target = new PassThrough({ encoding: 'utf8' });
  return { target, arrived: (): string => target.read() ?? '' };
};

test('what is written while a stream is redirected reaches the sink: text, bytes, encodings, callbacks', async () => {
  const { target, arrived } = stream();
  let seen = '';
  {
    using _ = redirect(target, (text) => (seen += text));
    expect(target.write('a key, '), 'a sink is never too full').toBe(true);
    target.write(Buffer.from('钥匙').toString('hex'), 'hex');
    const door = Buffer.from('门');
    target.write(new DataView(door.buffer, door.byteOffset, door.byteLength));
    // A character in two pieces, and who waits for them to be written.
    const bytes = Buffer.from('柜');
    target.write(bytes.subarray(0, 1));
    expect(await new Promise((done) => target.write(bytes.subarray(1), () => done('written')))).toBe('written');
    expect(await new Promise((done) => target.write('!', 'utf8', () => done('written')))).toBe('written');
  }
  target.write('after');
  expect([seen, arrived()]).toEqual(['a key, 钥匙门柜!', 'after']);
});

test('redirects may end in any order, and leave the stream as it was', () => {
  const { target, arrived } = stream();
  const seen = { a: '', b: '' };
  const a = redirect(target, (text) => (seen.a += text));
  const b = redirect(target, (text) => (seen.b += text));
  target.write('1');
  for (const _ of [1, 2]) a[Symbol.dispose]();
  target.write('2');
  b[Symbol.dispose]();
  target.write('3');
  expect([seen, arrived(), Object.hasOwn(target, 'write')]).toEqual([{ a: '', b: '12' }, '3', false]);
  const own = { write: () => true };
  const { write } = own;
  redirect(own, () => {})[Symbol.dispose]();
  expect(own.write).toBe(write);
  // Who patches it on top of a redirect keeps his patch.
  const below = redirect(target, () => {});
  const redirected = target.write;
  target.write = (chunk: string) => Reflect.apply(redirected, target, [`[${chunk}]`]);
  below[Symbol.dispose]();
  target.write('4');
  expect(arrived()).toBe('[4]');
});

test('a sink may write to the stream itself, and may throw', () => {
  const { target, arrived } = stream();
  using _outer = redirect(target, (text) => void target.write(`<${text}>`));
  {
    using _inner = redirect(target, (text) => void target.write(text.toUpperCase()));
    target.write('tee');
    using _failing = redirect(target, fail);
    expect(() => target.write('lost')).toThrow('the sink is full');
  }
  target.write('plain');
  expect(arrived()).toBe('<TEE><plain>');
});

function fail(): never {
  throw new Error('the sink is full');
}
