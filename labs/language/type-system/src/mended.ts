import { fixes as reference } from './fixes.ts';
import { type Program, type ProgramName, programs } from './programs.ts';

/** The file of each program → its text with the wrong line as `fixes` has it; for the programs of these names, or for all. */
export function mended(fixes: typeof reference = reference, names?: readonly ProgramName[]): Record<string, string> {
  const chosen = programs.filter(({ name }) => names === undefined || names.includes(name));
  return Object.fromEntries(
    chosen.map(({ name, code }) => [
      `${name}.ts`,
      code
        .split('\n')
        .map((line) => (isWrong(line) ? fixes[name] : line))
        .join('\n'),
    ]),
  );
}

/** The programs as they are, by file. */
export const broken = (): Record<string, string> =>
  Object.fromEntries(programs.map(({ name, code }: Program) => [`${name}.ts`, code]));

const isWrong = (line: string): boolean => /\/\/ !TS\d+\s*$/.test(line);
