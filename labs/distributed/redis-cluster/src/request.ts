import { inspect } from 'node:util';
import { Command, ReplyError } from 'ioredis';
import { CrossSlotError, InvalidArgumentError } from './errors.ts';
import { assertText, keySlot } from './key-slot.ts';

export type Argument = string | number;

/** A command, and the slot of its keys. */
export interface Request {
  readonly command: string;
  readonly args: readonly string[];
  readonly slot: number;
}

/** @throws InvalidArgumentError, CrossSlotError */
export function requestOf(command: string, args: readonly Argument[]): Request {
  const name = typeof command === 'string' ? command.toUpperCase() : '';
  if (!Array.isArray(args)) throw new InvalidArgumentError(`The arguments must be a list: they are ${inspect(args)}.`);
  const texts = args.map((arg: unknown) => {
    if (typeof arg === 'number' && Number.isFinite(arg)) return String(arg);
    assertText('An argument', arg);
    return arg;
  });
  const lower = name.toLowerCase();
  if (lower === 'watch' || CONNECTION_FLAGS.some((flag) => Command.checkFlag(flag, lower))) {
    throw new InvalidArgumentError(
      `${name} would hold or change the connection that all calls share: use one of your own.`,
    );
  }
  // ioredis knows where each command has its keys; what it doesn't know has none.
  const keys = keysOf(lower, texts);
  const slots = keys.map(keySlot);
  const [slot] = slots;
  if (slot === undefined) {
    throw new InvalidArgumentError(
      `${inspect(command)} with ${inspect(texts)} names no key, so no node is the right one.`,
    );
  }
  if (new Set(slots).size > 1) throw new CrossSlotError(name, keys, slots);
  return { command: name, args: texts, slot };
}

/** @throws InvalidArgumentError where it says that it has more keys than arguments: ioredis would count up to there. */
function keysOf(command: string, args: readonly string[]): string[] {
  const place = NUMBER_OF_KEYS.get(command);
  const count = place === undefined ? 0 : Number(args[place]);
  if (!Number.isInteger(count) || count < 0 || count > args.length) {
    throw new InvalidArgumentError(`${command} must say how many keys it has: it says ${inspect(args[place ?? 0])}.`);
  }
  return new Command(command, [...args]).getKeys().map(String);
}

/** At which argument. */
const NUMBER_OF_KEYS = new Map([
  ...['eval', 'eval_ro', 'evalsha', 'evalsha_ro', 'fcall', 'fcall_ro'].map((name) => [name, 1] as const),
  ...['zunionstore', 'zinterstore', 'zdiffstore'].map((name) => [name, 1] as const),
  ...['zunion', 'zinter', 'zdiff', 'zintercard', 'sintercard', 'lmpop', 'zmpop'].map((name) => [name, 0] as const),
]);

const CONNECTION_FLAGS = ['BLOCKING_COMMANDS', 'ENTER_SUBSCRIBER_MODE', 'EXIT_SUBSCRIBER_MODE'] as const;

/** An error that a node answered with, and no fault of the connection. */
export const isReply = (error: unknown): error is Error => error instanceof ReplyError;

export const isAddress = (text: unknown) => typeof text === 'string' && /^[^\s/]+:\d{1,5}$/.test(text);

/** @throws InvalidArgumentError unless it is an object whose `signal`, if it has any, is one. */
export function assertCallOptions(options: unknown): void {
  const given = typeof options === 'object' && options !== null ? options : undefined;
  const signal = given && 'signal' in given ? given.signal : undefined;
  if (given && (signal === undefined || signal instanceof AbortSignal)) return;
  throw new InvalidArgumentError(
    `Options must be an object, and their signal an AbortSignal: they are ${inspect(options, { depth: 1 })}.`,
  );
}

/** @throws InvalidArgumentError */
export function wholeFrom(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least && value < 2 ** 31) return value;
  throw new InvalidArgumentError(`${name} must be a whole number from ${least}: it is ${inspect(value)}.`);
}
