import type { MissingTests } from './missing-tests.ts';
import { type Mutant, where } from './mutants.ts';

/** The report for people: what to test, and what to look at again. */
export function describeMissing({ missing, stale, unexplained }: MissingTests): string {
  const arrow = (of: { original: string; replacement: string }) => `${brief(of.original)} → ${brief(of.replacement)}`;
  return [
    ...missing.flatMap((test) => [
      `${where(test)}  ${test.code}`,
      ...test.changes.map((change) => `    ${arrow(change)}`),
      test.run
        ? `  ran it, and would not notice: ${test.tests.map(oneLine).join(', ') || 'some test'}`
        : '  no test runs it',
      `  to be tested: ${test.advice}`,
    ]),
    ...stale.map(
      ({ judgement, why }) => `${judgement.path}  ${arrow(judgement)} was excused; it is ${why}: judge again`,
    ),
    ...unexplained.map((mutant) => `${where(mutant)}  ${arrow(mutant)} is ignored, and nobody says why`),
  ].join('\n');
}

/** A name may have line ends and colours in it. */
const oneLine = (text: string) => text.replace(/[\s\p{Cc}]+/gu, ' ').trim();

function brief(code: string): string {
  const line = oneLine(code);
  return line === '' ? '(nothing)' : line.length > 48 ? `${line.slice(0, 47)}…` : line;
}

/** By the kind of change, the most telling first. */
const ADVICE: readonly (readonly [mutator: RegExp, advice: string])[] = [
  [/^EqualityOperator$/, 'the two sides equal, and one step to either side'],
  [
    /^(?:ArithmeticOperator|AssignmentOperator|UpdateOperator|UnaryOperator|MethodExpression)$/,
    'the exact value that comes out',
  ],
  [
    /^(?:ConditionalExpression|LogicalOperator|BooleanLiteral|OptionalChaining)$/,
    'both outcomes of the condition, and that they differ',
  ],
  [/^(?:StringLiteral|Regex|ArrayDeclaration|ObjectLiteral)$/, 'the value itself, not only that there is one'],
  [/^(?:BlockStatement|ArrowFunction)$/, 'what the code does: without it nothing changes for the tests'],
];

/** What a test of the line would look at. */
export function adviceOn(group: readonly Mutant[]): string {
  const found = ADVICE.find(([pattern]) => group.some(({ mutator }) => pattern.test(mutator)));
  return found?.[1] ?? 'what depends on this line';
}
