import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { redirect } from '#lab';

const stream = () => {
  const target = new PassThrough({ encoding: 'utf8' });
  return { target, arrived: (): string => target.read() ?? '' };
};

test('what is written while a stream is redirected reaches the sink instead: text, bytes, encodings, callbacks', async () => {
  const { target, arrived } = stream();
  const seen: string[] = [];
  {
    using _ = redirect(target, (text) => seen.push(text));
    target.write('a coat, ');
    target.write('e9929be58c99', 'hex');
    const [first, rest] = [Buffer.from('柜').subarray(0, 1), Buffer.from('柜').subarray(1)];
    target.write(first);
    expect(await new Promise((done) => target.write(rest, () => done('called back')))).toBe('called back');
    expect(await new Promise((done) => target.write('!', 'utf8', () => done('called back')))).toBe('called back');
  }
  target.write('after');
  expect(seen.join('')).toBe('a coat, 钛匙柜!'.replace('钛匙', Buffer.from('e9929be58c99', 'hex').toString()));
  expect(arrived()).toBe('after');
});

test('redirects may end in any order, and leave the stream as it was', () => {
  const { target, arrived } = stream();
  const seen = { a: '', b: '' };
  const a = redirect(target, (text) => (seen.a += text));
  const b = redirect(target, (text) => (seen.b += text));
  target.write('1');
  a[Symbol.dispose]();
  a[Symbol.dispose]();
  target.write('2');
  b[Symbol.dispose]();
  target.write('3');
  expect([seen, arrived()]).toEqual([{ a: '', b: '12' }, '3']);
  expect(Object.hasOwn(target, 'write')).toBe(false);
  const own = { write: () => true };
  const { write } = own;
  redirect(own, () => {})[Symbol.dispose]();
  expect(own.write).toBe(write);
});

test('a sink may write to the stream itself, and may throw', () => {
  const { target, arrived } = stream();
  using _outer = redirect(target, (text) => void target.write(`<${text}>`));
  {
    using _inner = redirect(target, (text) => void target.write(text.toUpperCase()));
    target.write('tee');
    using _failing = redirect(target, () => {
      throw new Error('the sink is full');
    });
    expect(() => target.write('lost')).toThrow('the sink is full');
  }
  target.write('plain');
  expect(arrived()).toBe('<TEE><plain>');
});

test('who patches the stream on top of a redirect keeps his patch', () => {
  const { target, arrived } = stream();
  const outer = redirect(target, () => {});
  const below = target.write;
  target.write = (chunk: string) => Reflect.apply(below, target, [`[${chunk}]`]);
  outer[Symbol.dispose]();
  target.write('patched');
  expect(arrived()).toBe('[patched]');
});
