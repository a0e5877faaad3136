import { type CanaryOptions, canary as rollOut } from '../src/canary.ts';
import { compile, expressionsIn, type Scope, textOf, truthy } from '../src/expression.ts';
import type { Commit } from '../src/git.ts';
import { checkPolicy as check } from '../src/policy.ts';
import type { Conclusion, Limits, Rules, StepConclusion, Verdict } from '../src/rules.ts';
import { type RunOptions, runWorkflow as run } from '../src/runner.ts';
import type { Sample } from '../src/statistics.ts';

// What is not the idea is given: YAML, expressions, processes, the matrix, the loop of a rollout. What a pipeline promises
// is yours: the functions of `rules`. Some are there with a flaw, others throw. `h` in `pnpm lab learn ci-cd` gives a hint.
// src/rules.ts and `cleanClone` of src/git.ts are the solutions.
export type {
  CanaryOptions,
  Expression,
  Finding,
  JobReport,
  Rollout,
  RolloutState,
  RunOptions,
  RunReport,
  Sample,
  Scope,
  StateStore,
  StepReport,
} from '../src/index.ts';
export {
  CheckoutError,
  CiError,
  CycleError,
  compile,
  ExpressionError,
  fileStore,
  InvalidArgumentError,
  lintWorkflow,
  parseWorkflow,
  RollbackFailedError,
  StateConflictError,
  WorkflowError,
  worse,
} from '../src/index.ts';

const rules: Rules = {
  /**
   * Puts the commit `sha` of the repository at `top` into `folder`, which does not exist yet, and nothing else.
   * `git(folder, 'status', …)` of src/git.ts runs git in a folder. A `git push` in there must not reach the repository.
   * `git checkout` ends with 0 although it could not write a file (`git ls-files --deleted`): that is a CheckoutError.
   */
  async checkout(_commit: Commit, _folder: string) {
    todo('checkout');
  },

  /**
   * The program and its arguments that run the script in `file`. `shell` is none, `bash`, `sh`, or a command line with `{0}`
   * for the file. Its flaw: it forgets what failed.
   */
  shell: (_shell: string | undefined, file: string) => ['bash', file],

  /** Given: a condition that does not ask how things stand (`always()`, `failure()` …) has success() before it. */
  mayRun: (condition, scope) =>
    (condition.asksStatus || scope.status === 'success') && truthy(condition.evaluate(scope)),

  /** How a job has ended whose steps have ended so, in this order. Its flaw: the last one decides. */
  jobOutcome(steps: readonly StepConclusion[]): Conclusion {
    return steps.findLast((each) => each !== 'skipped') === 'failure' ? 'failure' : 'success';
  },

  /** How it stands before a job whose needs, near and far, have ended so. Its flaw: it doesn't look. */
  statusOf: (_needs: readonly Conclusion[]) => 'success',

  /** What becomes of an action, as `actions/checkout@v4`. `provided` are names without a version. Its flaw: it believes. */
  action: (_uses: string, _provided: readonly string[]): StepConclusion => 'success',

  /** How a run has ended whose jobs have ended so. Its flaw: not all that is not red is green. */
  runConclusion: (jobs: readonly Conclusion[]) => (jobs.includes('failure') ? 'failure' : 'success'),

  /**
   * Puts the values of its expressions into a text. `expressionsIn` knows that `'}}'` in quotes ends none.
   * Its flaw: it goes on until none is left.
   */
  interpolate(template: string, scope: Scope) {
    let text = template;
    for (let [source] = expressionsIn(text); source !== undefined; [source] = expressionsIn(text)) {
      text = text.replace(`\${{${source}}}`, textOf(compile(source).evaluate(scope)));
    }
    return text;
  },

  /**
   * The contexts in an expression, here without its braces, that may put a stranger's text into a script. What can only be
   * true or false puts none there.
   */
  foreignIn: (_expression: string) => todo('foreignIn'),

  /** Whether `uses:` names the same code for ever: an action `owner/name@…`, or an image `docker://…`. */
  isPinned: (_action: string) => todo('isPinned'),

  /** Signals a step: `leader` is the number of its shell, which leads a process group. Its flaw: the shell alone hears it. */
  signalGroup(leader: number, signal: NodeJS.Signals) {
    process.kill(leader, signal);
  },

  /** The text without the secrets, `***` for each. Its flaw: it is the text. */
  mask: (text: string, _secrets: readonly string[]) => text,

  /**
   * What so many requests say of the canary. Fewer than three failures are no proof, and beside a version that has hardly
   * served there is nothing to compare. `worse(canary, stable)` of src/statistics.ts is the chance that its failures are bad luck.
   */
  judge: (_canary: Sample, _stable: Sample, _limits: Limits): Verdict => todo('judge'),
};

/** Given: runs the `run:` steps of a workflow as processes, each job in a checkout of the commit. */
export const runWorkflow = (options: RunOptions, own: Rules = rules) => run(options, own);
/** Given: what is wrong with a workflow although GitHub would run it. */
export const checkPolicy = (text: string, own: Rules = rules) => check(text, own);
/** Given: gives a new version more and more of the traffic, or takes it all away. */
export const canary = (options: CanaryOptions, own: Rules = rules) => rollOut(options, own);

function todo(name: string): never {
  throw new Error(`${name} is not written yet: its comment in attempt/index.ts is the task.`);
}
