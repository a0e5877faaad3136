import { z } from 'zod';
import { CycleError, InvalidArgumentError } from './errors.ts';

const storable = (text: string) => text.isWellFormed() && !text.includes('\0');
/** A file may have this name, too: neither `.` nor `..` is one. */
export const Name = z.string().regex(/^(?!\.{1,2}$)[\w.-]{1,64}$/, 'give 1 to 64 letters, digits or . _ -');
const LONGEST = 65_536;
const Text = z.string().max(LONGEST).refine(storable, 'give text without U+0000 and without half an emoji');
/** Values by name, for `{{ name }}`. */
export const Vars = z.record(Name, Text);
export type Vars = z.output<typeof Vars>;
/** Of a runbook, and so of a job and of the reports on it. */
export const MOST_STEPS = 64;
/** A program and its arguments. There is no shell: what stands here is what the program gets. */
const Argv = z.array(Text).min(1).max(64);
const common = {
  name: Name,
  /** Steps that have to be done before. */
  needs: z.array(Name).max(MOST_STEPS).default([]),
  /** After so long it is ended, and has failed. Default one minute. */
  timeoutMs: z.int().min(1).max(86_400_000).default(60_000),
};
const File = z.strictObject({
  /** In the machine's folder. */
  path: Text.min(1),
  content: Text,
  mode: z.int().min(0).max(0o777).default(0o644),
});
const Command = z.strictObject({
  argv: Argv,
  /** Not run when this file is there. */
  creates: Text.min(1).optional(),
  /** Not run when this ends with 0. It is a look: it runs in check mode too, and must change nothing. */
  unless: Argv.optional(),
});
const Service = z.strictObject({ argv: Argv, state: z.enum(['running', 'stopped']).default('running') });

export const Step = z.union([
  z.strictObject({ ...common, file: File }),
  z.strictObject({ ...common, command: Command }),
  z.strictObject({ ...common, service: Service }),
]);
export type Step = z.output<typeof Step>;
export const Steps = z.array(Step).min(1).max(MOST_STEPS);
export type FileSpec = z.output<typeof File>;
export type CommandSpec = z.output<typeof Command>;
export type ServiceSpec = z.output<typeof Service>;

const Runbook = z.strictObject({
  name: Name,
  steps: Steps,
  /** How many hosts at a time: a number, or a share of all. Default one tenth. */
  batch: z.union([z.int().min(1).max(100_000), z.string().regex(/^([1-9]\d?|100)%$/)]).default('10%'),
  /** If more percent of a batch than this have failed or are unknown, there is no next batch. Default 0. */
  maxFailedPercent: z.number().min(0).max(100).default(0),
});
export type Runbook = z.output<typeof Runbook>;

/** @throws InvalidArgumentError with every fault; CycleError */
export function parseRunbook(value: unknown): Runbook {
  const book = parse(Runbook, value, 'the runbook');
  const names = new Set(book.steps.map(({ name }) => name));
  if (names.size < book.steps.length) throw new InvalidArgumentError('Two steps have one name: rename one.');
  for (const { name, needs } of book.steps) {
    const missing = needs.find((need) => !names.has(need));
    if (missing !== undefined) throw new InvalidArgumentError(`${name} needs ${missing}, which is no step.`);
  }
  refuseCycle(book.steps);
  return book;
}

function refuseCycle(steps: readonly Step[]): void {
  let left = steps;
  for (;;) {
    const open = new Set(left.map(({ name }) => name));
    const next = left.filter(({ needs }) => needs.some((need) => open.has(need)));
    if (next.length === 0) return;
    if (next.length === left.length) throw new CycleError(circle(left));
    left = next;
  }
}

/** Each of `steps` needs another one of them: whoever goes from need to need comes back. */
function circle(steps: readonly Step[]): string[] {
  const byName = new Map(steps.map((step) => [step.name, step]));
  const path: string[] = [];
  for (let name = steps[0]?.name; name !== undefined; ) {
    const start = path.indexOf(name);
    path.push(name);
    if (start !== -1) return path.slice(start);
    name = byName.get(name)?.needs.find((need) => byName.has(need));
  }
  return path;
}

/** @throws InvalidArgumentError */
export function parse<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const faults = error.issues.slice(0, 20).map(({ path, message }) => `${path.join('.') || '(all)'}: ${message}`);
  throw new InvalidArgumentError(`In ${what}, ${faults.join('; ')}`.slice(0, 2_000));
}

/**
 * Puts values in the place of `{{ name }}`; what a value says is not looked at again.
 * @throws InvalidArgumentError where one is missing, and where the text would be longer than a step's may be
 */
export function fill(text: string, vars: Vars): string {
  let length = text.length;
  return text.replace(/\{\{\s*([\w.-]+)\s*\}\}/g, (place, name: string) => {
    const value = Object.hasOwn(vars, name) ? vars[name] : undefined;
    if (value === undefined) throw new InvalidArgumentError(`There is no value for {{ ${name} }}: give the host one.`);
    length += value.length - place.length;
    if (length > LONGEST) throw new InvalidArgumentError(`With its values it is longer than ${LONGEST}: shorten them.`);
    return value;
  });
}
