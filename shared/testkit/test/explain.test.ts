import { expect, test } from 'vitest';
import { explain } from '../src/explain.ts';

const told = (message: string, diff: string) => explain({ name: 'AssertionError', message, diff }, '/');

test('a difference of one line is left out, for the message says the same', () => {
  expect(told('expected 3 to be 2', '- Expected\n+ Received\n\n- 2\n+ 3')).toBe('expected 3 to be 2');
});

test('a difference of one line is shown where the message was cut short', () => {
  const message = "expected [ 'b', …(2) ] to deeply equal [ 'a', …(3) ]";
  const diff = '- Expected\n+ Received\n\n  [\n-   "a",\n    "b",\n  ]';
  expect(told(message, diff)).toBe(`${message}\n${diff}`);
});

test('an error of another class is shown, since the message only names the class that was wanted', () => {
  const diff = '- Expected:\n[Function TakenError]\n\n+ Received:\nError {\n  "message": "not written yet",\n}';
  expect(told('expected error to be instance of TakenError', diff)).toContain('not written yet');
});

test('what a law found stands before what could not be closed behind it', () => {
  const suppressed = { name: 'AssertionError', message: 'expected 3 to be 2' };
  const error = { name: 'Error', message: 'the shop does not end' };
  expect(explain({ name: 'SuppressedError', message: '', suppressed, error }, '/')).toBe(
    'expected 3 to be 2\nand at its end: the shop does not end',
  );
});
