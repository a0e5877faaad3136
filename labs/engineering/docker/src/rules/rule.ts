import { type Instruction, Onbuild } from 'dockerfile-ast';
import type { Rule } from '../finding.ts';
import type { Parsed, Stage } from '../stages.ts';

export interface Hit {
  /** Where; undefined is the whole file. */
  readonly at: Instruction | undefined;
  readonly message: string;
}

/** The ids are hadolint's where it has the rule (DL), else our own (CL). */
export interface DockerRule extends Rule {
  check(file: Parsed): Iterable<Hit>;
}

/** What ONBUILD does in the image that is built on this one; else the instruction itself. */
export const triggered = (at: Instruction): Instruction =>
  at instanceof Onbuild ? (at.getTriggerInstruction() ?? at) : at;

/** Every instruction of a keyword, those behind an ONBUILD too, with the stage that it stands in. */
export function* each(file: Parsed, ...keywords: string[]): Generator<{ at: Instruction; stage: Stage }> {
  for (const stage of file.stages) {
    for (const at of stage.instructions.map(triggered)) if (keywords.includes(at.getKeyword())) yield { at, stage };
  }
}
