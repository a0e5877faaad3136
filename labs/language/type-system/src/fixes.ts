import type { ProgramName } from './programs.ts';

/** One way to mend each program: what stands in place of its wrong line. None silences the compiler. */
export const fixes: Readonly<Record<ProgramName, string>> = {
  'greet-a-number': 'greet(String(42));',
  'division-gives-a-text': '  return b === 0 ? Number.POSITIVE_INFINITY : a / b;',
  'callback-gives-a-number': 'processData(21, (n) => String(n * 2));',
  'text-on-a-stack-of-numbers': "new Stack<number>().push(Number('7'));",
  'called-with-a-number': "greet.call(undefined, '42');",
  'length-of-null': '  return text?.length ?? 0;',
  'first-of-nobody': "export const first: string = users[0] ?? 'nobody';",
  'undefined-said-aloud': "export const profile: Profile = { name: 'Alice' };",
  'field-without-a-value': '  readonly name: string;\n  constructor(name: string) { this.name = name; }',
  'any-by-omission': 'export function debug(data: unknown): unknown {',
  'unknown-shouted': "  return typeof data === 'string' ? data.toUpperCase() : '';",
  'error-or-not': '    return error instanceof Error ? error.message : String(error);',
  'key-by-hearsay': "export const score = scores['maths'];",
  'forgotten-case': "    case 'triangle': return (shape.a * shape.h) / 2;\n    default: return assertNever(shape);",
  'road-without-an-end': 'export const discount = (age: number): number | undefined => (age < 6 ? 1 : undefined);',
  'case-falls-into-the-next': "    case 'child': return 500;",
  'fish-takes-off': 'takeoff(new Bird());',
  'vet-for-dogs-alone': 'export const vet: Vet = (patient: Animal) => patient.name;',
  'override-by-accident': "  override fly() { return 'waddling'; }",
  'order-for-a-user': 'orders(userId(7));',
};
