import { parseSync, Visitor } from 'oxc-parser';

/** A change of one token: `text.slice(start, end)` becomes `replacement`. */
export interface Mutant {
  /** Relative to src/. */
  readonly file: string;
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** Counted from 1. */
  readonly line: number;
  /** The line that it changes, as it is in the reference. */
  readonly code: string;
  /** `< → <=`, `without await`. */
  readonly change: string;
}

const operators: Readonly<Record<string, string>> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '==': '!=',
  '!=': '==',
  '+': '-',
  '-': '+',
  '*': '/',
  '/': '*',
  '%': '*',
  '&&': '||',
  '||': '&&',
  '+=': '-=',
  '-=': '+=',
  '++': '--',
  '--': '++',
};

interface Span {
  readonly start: number;
  readonly end: number;
}

/**
 * Every one-token change of a file that a law should notice: a comparison, a sign, a constant, a condition, a `throw` or an
 * `await` that is gone. Texts stay as they are: what an error says is no behaviour.
 */
export function mutantsOf(file: string, text: string): readonly Mutant[] {
  const found: Mutant[] = [];
  const inTypes: Span[] = [];
  const lines = text.split('\n');
  const add = (start: number, end: number, replacement: string, change: string): void => {
    const line = text.slice(0, start).split('\n').length;
    found.push({ file, start, end, replacement, line, code: (lines[line - 1] ?? '').trim(), change });
  };
  const operator = (left: Span, right: Span, token: string): void => {
    const other = operators[token];
    if (other === undefined) return;
    const start = left.end + text.slice(left.end, right.start).indexOf(token);
    add(start, start + token.length, other, `${token} → ${other}`);
  };
  const program = parseSync(file, text, { lang: 'ts', sourceType: 'module' }).program;
  new Visitor({
    TSLiteralType: ({ start, end }) => void inTypes.push({ start, end }),
    BinaryExpression: ({ left, right, operator: token }) => {
      // A text is put together: nothing to do with a sign.
      if (token === '+' && [left, right].some(isText)) return;
      operator(left, right, token);
    },
    LogicalExpression: ({ left, right, operator: token }) => operator(left, right, token),
    AssignmentExpression: ({ left, right, operator: token }) => operator(left, right, token),
    UpdateExpression: ({ start, end, prefix, operator: token }) => {
      const at = prefix ? start : end - token.length;
      add(at, at + token.length, operators[token] ?? token, `${token} → ${operators[token]}`);
    },
    UnaryExpression: ({ start, operator: token }) => {
      if (token === '!' || token === '-') add(start, start + 1, '', `without ${token}`);
    },
    AwaitExpression: ({ start, argument }) => add(start, argument.start, '', 'without await'),
    ThrowStatement: ({ start, end }) => add(start, end, ';', 'without throw'),
    Literal: ({ start, end, value }) => {
      if (typeof value === 'boolean') add(start, end, String(!value), `${value} → ${!value}`);
      // A sign in front would read `--1` after the change of a constant to a negative one: grow it instead.
      if (typeof value === 'number') add(start, end, String(value + 1), `${text.slice(start, end)} → ${value + 1}`);
      if (typeof value === 'bigint') add(start, end, `${value + 1n}n`, `${value}n → ${value + 1n}n`);
    },
  }).visit(program);
  return found
    .filter(({ start }) => !inTypes.some((type) => start >= type.start && start < type.end))
    .sort((a, b) => a.start - b.start);
}

const isText = (node: { readonly type: string; readonly value?: unknown }): boolean =>
  node.type === 'TemplateLiteral' || (node.type === 'Literal' && typeof node.value === 'string');

export function mutate(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
