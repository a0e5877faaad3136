import { parseArgs } from 'node:util';
import { closest } from 'fastest-levenshtein';
import { MAX_WIDTH, MIN_WIDTH } from './render/frame.ts';

export interface Flags {
  readonly json: boolean;
  readonly slow: boolean;
  readonly hold: boolean;
  /** undefined: one is drawn at random and printed. */
  readonly seed: number | undefined;
  /** Folder that gets picture.svg. */
  readonly svg: string | undefined;
  /** undefined: as wide as the terminal, at most 120; 80 in a pipe. */
  readonly width: number | undefined;
  /** undefined: as the terminal, NO_COLOR and FORCE_COLOR say. */
  readonly color: boolean | undefined;
}

export type Parsed =
  | { readonly kind: 'flags'; readonly flags: Flags }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'wrong'; readonly message: string };

const options = {
  json: { type: 'boolean', help: 'one event a line on stdout, for programs' },
  slow: { type: 'boolean', help: 'pause after each block, for a live talk; any key goes on' },
  hold: { type: 'boolean', help: 'keep the servers up at the end and say how to look inside' },
  seed: { type: 'string', value: 'N', help: 'repeat the randomness of an earlier run' },
  svg: { type: 'string', value: 'DIR', help: "write the story's picture to DIR/picture.svg" },
  width: {
    type: 'string',
    value: 'N',
    help: `columns, ${MIN_WIDTH} to ${MAX_WIDTH} (default: the terminal, at most 120)`,
  },
  color: { type: 'boolean', help: 'colour even in a pipe' },
  'no-color': { type: 'boolean', help: 'no colour' },
  help: { type: 'boolean', short: 'h', help: 'this list' },
} as const;

const MAX_SEED = 2 ** 32 - 1;

/** Reads the flags of a demo. */
export function parseFlags(argv: readonly string[]): Parsed {
  const { tokens } = parseArgs({ args: [...argv], options, strict: false, allowPositionals: true, tokens: true });
  const given = new Map<string, string | true>();
  for (const token of tokens) {
    if (token.kind === 'option-terminator') continue;
    if (token.kind === 'positional') return wrong(`a demo takes flags alone, not "${token.value}"`);
    const option = Object.entries(options).find(([name]) => name === token.name)?.[1];
    if (option === undefined) {
      const near = closest(token.name, Object.keys(options));
      return wrong(`unknown flag ${token.rawName}: did you mean --${near}?`);
    }
    if (option.type === 'string') {
      if (token.value === undefined || token.value === '')
        return wrong(`${token.rawName} needs a value: ${usage(token.name)}`);
      given.set(token.name, token.value);
    } else {
      if (token.value !== undefined) return wrong(`${token.rawName} takes no value, not "${token.value}"`);
      given.set(token.name, true);
    }
  }
  if (given.has('help')) return { kind: 'help', text: helpText() };
  const seed = whole(given.get('seed'));
  if (seed !== undefined && !(seed >= 0 && seed <= MAX_SEED)) {
    return wrong(`--seed needs a whole number from 0 to ${MAX_SEED}, not "${given.get('seed')}"`);
  }
  const width = whole(given.get('width'));
  if (width !== undefined && !(width >= MIN_WIDTH && width <= MAX_WIDTH)) {
    return wrong(`--width needs a whole number from ${MIN_WIDTH} to ${MAX_WIDTH}, not "${given.get('width')}"`);
  }
  const svg = given.get('svg');
  return {
    kind: 'flags',
    flags: {
      json: given.has('json'),
      slow: given.has('slow'),
      hold: given.has('hold'),
      seed,
      svg: typeof svg === 'string' ? svg : undefined,
      width,
      color: given.has('no-color') ? false : given.has('color') ? true : undefined,
    },
  };
}

/** NaN when the text is no whole number; undefined when there is none. */
function whole(text: string | true | undefined): number | undefined {
  if (typeof text !== 'string') return undefined;
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

function wrong(message: string): Parsed {
  return { kind: 'wrong', message: `${message}\n\n${helpText()}` };
}

function usage(name: string): string {
  const option = Object.entries(options).find(([key]) => key === name)?.[1];
  return `--${name}${option !== undefined && 'value' in option ? ` ${option.value}` : ''}`;
}

function helpText(): string {
  const lines = Object.entries(options).map(([name, option]) => `  ${usage(name).padEnd(13)} ${option.help}`);
  return ['Flags of a demo:', ...lines].join('\n');
}
