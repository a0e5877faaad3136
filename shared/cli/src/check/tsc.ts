import { isAbsolute, relative } from 'node:path';
import { readDiagnostics } from '../grading.ts';
import type { Output } from './exec.ts';

export interface Diagnostic {
  /** `file:line`, relative to `base`. */
  readonly where: string;
  readonly file: string;
  readonly text: string;
}

/** The compiler's objections, each at its place relative to `base`; those without a place (a bad option) stand at `.`. */
export function diagnosticsOf({ stdout }: Output, base: string): readonly Diagnostic[] {
  const placed = readDiagnostics(stdout).map(({ file, line, text }) => {
    const path = isAbsolute(file) ? relative(base, file) : file;
    return { where: `${path}:${line}`, file: path, text };
  });
  const loose = [...stdout.matchAll(/^error TS\d+: (.*)$/gm)].map(([, text = '']) => ({ where: '.', file: '.', text }));
  return [...placed, ...loose];
}
