import { type Expression, interpolate, type Scope, type Status, truthy } from './expression.ts';
import { type Commit, cleanClone } from './git.ts';
import { type Sample, worse } from './statistics.ts';

/**
 * How a step ends. Neither of the last two is a pass: `provided` is an action whose work the machine has done already,
 * `not-executed` one of which nobody knows how it would have ended.
 */
export type StepConclusion = Status | 'provided' | 'not-executed';
/** `incomplete`: nothing failed, and something was not executed. */
export type Conclusion = Status | 'incomplete';

/** What a pipeline promises, each promise a function: a variant (see pitfalls/) breaks one. */
export interface Rules {
  checkout(commit: Commit, folder: string): Promise<void>;
  shell(shell: string | undefined, file: string): readonly string[];
  interpolate(template: string, scope: Scope): string;
  mayRun(condition: Expression, scope: Scope): boolean;
  action(uses: string, provided: readonly string[]): StepConclusion;
  jobOutcome(steps: readonly StepConclusion[]): Conclusion;
  statusOf(needs: readonly Conclusion[]): Status;
  runConclusion(jobs: readonly Conclusion[]): Conclusion;
  mask(text: string, secrets: readonly string[]): string;
  signalGroup(leader: number, signal: NodeJS.Signals): void;
  isPinned(action: string): boolean;
  foreignIn(expression: string): readonly string[];
  judge(canary: Sample, stable: Sample, limits: Limits): Verdict;
}

export type Verdict = 'worse' | 'healthy' | 'unknown';

export interface Limits {
  /** Fewer requests say nothing good. */
  readonly minRequests: number;
  /** A larger share of failures is not healthy, however bad the stable version is. */
  readonly maxErrorShare: number;
  /** A chance below this is none. */
  readonly alpha: number;
}

/** What others can't write their own text into. */
const HARMLESS =
  /^github\.event\.(?:.*\.)?(?:id|node_id|number|sha|before|after|action|merged|draft|created_at|updated_at)$/;
const FOREIGN =
  /^(?:github(?:$|\.(?:event|head_ref|ref_name|ref|base_ref)\b)|inputs\b|env\b|(?:steps|needs)$|(?:steps|needs)\..*\boutputs\b)/;

/** One accident is an accident. */
const FEWEST_ERRORS = 3;

export const rules: Rules = {
  /** The commit, in a folder of its own. What is not committed is not delivered, so it is not tested. */
  checkout: cleanClone,

  /**
   * Without a shell GitHub runs `bash -e`: the first command that fails ends the script, but a pipe is as green as its
   * last command. `shell: bash` sees the others too.
   * Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstepsshell
   */
  shell(shell, file) {
    if (shell === undefined) return ['bash', '-e', file];
    if (shell === 'bash') return ['bash', '--noprofile', '--norc', '-eo', 'pipefail', file];
    if (shell === 'sh') return ['sh', '-e', file];
    return shell.includes('{0}') ? shell.split(/\s+/).map((word) => word.replaceAll('{0}', file)) : [shell, file];
  },

  interpolate,

  /** A condition that does not ask how things stand has success() before it. */
  mayRun: (condition, scope) =>
    (condition.asksStatus || scope.status === 'success') && truthy(condition.evaluate(scope)),

  action: (uses, provided) => (provided.includes(uses.split('@', 1)[0] ?? '') ? 'provided' : 'not-executed'),

  /** One red step, and the job is red, whatever came after it. */
  jobOutcome(steps) {
    if (steps.includes('failure')) return 'failure';
    if (steps.includes('cancelled')) return 'cancelled';
    return steps.includes('not-executed') ? 'incomplete' : 'success';
  },

  /** How it stands with all that a job needs, and what that needs in turn. What never ran vouches for nothing. */
  statusOf(needs) {
    if (needs.includes('failure')) return 'failure';
    if (needs.includes('cancelled')) return 'cancelled';
    return needs.every((each) => each === 'success') ? 'success' : 'skipped';
  },

  runConclusion(jobs) {
    if (jobs.includes('failure')) return 'failure';
    if (jobs.includes('cancelled')) return 'cancelled';
    return jobs.includes('incomplete') || !jobs.includes('success') ? 'incomplete' : 'success';
  },

  /** Each line of a secret, the longest first: of two that begin alike, the rest of the longer would stay. */
  mask(text, secrets) {
    const lines = secrets.flatMap((secret) => [secret, ...secret.split('\n')]).map((line) => line.trim());
    const parts = [...new Set(lines)].filter((line) => line !== '').sort((a, b) => b.length - a.length);
    return parts.reduce((masked, part) => masked.replaceAll(part, '***'), text);
  },

  /** All that the script has begun, not the shell alone. */
  signalGroup(leader, signal) {
    process.kill(-leader, signal);
  },

  /** Whether an action is the same tomorrow: a tag is moved by whoever holds the repository, a commit by nobody. */
  isPinned: (action) => (action.startsWith('docker://') ? /@sha256:[\da-f]{64}$/ : /@[\da-f]{40}$/i).test(action),

  /** Contexts in an expression that may hold a text of somebody else. */
  foreignIn(expression) {
    const plain = expression.replace(/\[\s*'([\w-]+)'\s*\]/g, '.$1').replace(/'[^']*'/g, "''");
    const yesOrNo =
      /^\s*!?(?:contains|startsWith|endsWith)\([^()]*\)\s*$|^[^&|]*[=!<>]=[^&|]*$|^[^&|]*&&\s*''\s*\|\|\s*''\s*$/i.test(
        plain,
      );
    if (yesOrNo) return [];
    const paths = plain.matchAll(/(?<![.\w-])(?:github|inputs|env|steps|needs)(?![\w-])(?:\.[\w*-]+)*/gi);
    return [...paths].map(([path]) => path.toLowerCase()).filter((path) => FOREIGN.test(path) && !HARMLESS.test(path));
  },

  /**
   * What so many requests say of the canary. Worse: it fails more often than chance explains. Healthy: it has served enough
   * of them. Without traffic nothing is known, and nothing known is not health.
   */
  judge(canary, stable, limits) {
    if (canary.errors >= FEWEST_ERRORS && worse(canary, stable) < limits.alpha) return 'worse';
    const enough = canary.requests >= limits.minRequests && stable.requests >= limits.minRequests;
    return enough && canary.errors <= canary.requests * limits.maxErrorShare ? 'healthy' : 'unknown';
  },
};
