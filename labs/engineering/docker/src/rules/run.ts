import { type Command, commandsOf, isShell, split } from '../shell.ts';
import { execForm, historyOf, lineOf, type Parsed, type Stage } from '../stages.ts';
import { type DockerRule, each } from './rule.ts';

/** `-t bookworm-backports` is no package. */
const VALUED = /^(?:-\w*[tc]|-o|--(?:target-release|default-release|option|config-file))$/;

const isApt = (command: Command, action: string) => {
  const { program, names } = split(command, VALUED);
  return /^apt(?:-get)?$/.test(program) && names[0] === action;
};

export const pinnedApt: DockerRule = {
  id: 'DL3008',
  title: 'apt packages without a version',
  severity: 'low',
  confidence: 'low',
  why: 'the same file makes another image tomorrow; but Debian keeps one version, so a pinned one is gone some day',
  fix: 'name=version, or a snapshot of the archive, or say why not',
  *check(file) {
    for (const { at } of each(file, 'RUN')) {
      const open = commandsOf(at)
        .filter((command) => isApt(command, 'install'))
        .flatMap((command) => split(command, VALUED).names.slice(1))
        .filter((name) => !/[=/$]|\.deb$/.test(name));
      if (open.length > 0) yield { at, message: `${open.join(', ')}: whatever version is there` };
    }
  },
};

/** They, or a folder around them. */
const LISTS = /^\/var\/lib\/(?:\{[^}]*\bapt\b|apt(?:\/(?:lists|\*)|\/?$))/;

/** What only makes a stage larger that is thrown away does no harm. */
function* shippedRuns(file: Parsed) {
  const history = historyOf(file.last);
  for (const it of each(file, 'RUN'))
    if (it.stage === file.last || it.stage.instructions.some((at) => history.includes(at))) yield it;
}

export const aptListsGone: DockerRule = {
  id: 'DL3009',
  title: 'apt’s package lists stay in the image',
  severity: 'low',
  confidence: 'high',
  why: 'tens of megabytes that nobody reads; to delete them in a later layer frees nothing',
  fix: '&& rm -rf /var/lib/apt/lists/* in the same RUN, or a cache mount',
  *check(file) {
    for (const { at } of shippedRuns(file)) {
      const commands = commandsOf(at);
      if (!commands.some((command) => isApt(command, 'update')) || /--mount=\S*\/var\/lib\/apt/.test(at.toString()))
        continue;
      const gone = commands.some(
        (command) =>
          isApt(command, 'dist-clean') ||
          (/^(?:rm|find)$/.test(split(command).program) && command.words.some((word) => LISTS.test(word))),
      );
      if (!gone) yield { at, message: 'the lists of `apt-get update` are part of the layer' };
    }
  },
};

const PIP = /^pip[\d.]*$/;

export const noPipCache: DockerRule = {
  id: 'DL3042',
  title: 'pip’s cache stays in the image',
  severity: 'low',
  confidence: 'high',
  why: 'every wheel is there twice',
  fix: 'pip install --no-cache-dir, PIP_NO_CACHE_DIR=1, or a cache mount',
  *check(file) {
    for (const { at, stage } of shippedRuns(file)) {
      const commands = commandsOf(at);
      const pip = commands.some((command) => {
        const { program, flags, names } = split(command);
        const install = PIP.test(program)
          ? names[0]
          : /^python[\d.]*$/.test(program) && names[0] === 'pip'
            ? names[1]
            : undefined;
        return install === 'install' && !flags.some((flag) => /^--no-cache(?:-dir)?$/.test(flag));
      });
      const off = [at, ...historyOf(stage)].some(
        (each) =>
          /^(?:ENV|RUN)$/.test(each.getKeyword()) &&
          (each === at || each.getKeyword() === 'ENV') &&
          /\bPIP_NO_CACHE_DIR\b/.test(each.toString()),
      );
      const purged = commands.some(
        ({ words }) =>
          (words[0] === 'rm' && words.some((word) => /\/\.cache(?:\/|$)/.test(word))) ||
          (words[1] === 'cache' && words[2] === 'purge'),
      );
      if (pip && !off && !purged && !/--mount=\S*type=cache/.test(at.toString()))
        yield { at, message: 'pip install keeps its cache' };
    }
  },
};

/** The options of the shell that runs a line of `stage`: SHELL counts from where it stands, in later stages too. */
const hasPipefail = (stage: Stage, line: number): boolean => {
  const shell = stage.instructions.findLast((each) => each.getKeyword() === 'SHELL' && lineOf(each) < line);
  if (shell !== undefined) {
    const words = execForm(shell) ?? [];
    // PowerShell and cmd have no such option.
    return words.includes('pipefail') || /(?:^|[\\/])(?:pwsh|powershell|cmd)(?:\.exe)?$/i.test(words[0] ?? '');
  }
  return stage.base !== undefined && hasPipefail(stage.base, line);
};

export const pipefail: DockerRule = {
  id: 'DL4006',
  title: 'A pipe whose first part may fail unseen',
  severity: 'medium',
  confidence: 'high',
  why: 'only the last command’s outcome counts: a download that broke off is a layer, and is cached',
  fix: 'SHELL ["/bin/bash", "-o", "pipefail", "-c"] before it',
  *check(file) {
    for (const { at, stage } of each(file, 'RUN')) {
      const commands = commandsOf(at);
      const own = commands.some(
        ({ words: [program = '', ...words] }) =>
          (program === 'set' || isShell(split({ words: [program] }).program)) && words.includes('pipefail'),
      );
      if (!own && commands.some(({ piped }) => piped) && !hasPipefail(stage, lineOf(at))) {
        yield { at, message: 'the first part of the pipe may fail unseen' };
      }
    }
  },
};

export const readBeforeRun: DockerRule = {
  id: 'CL1006',
  title: 'Downloaded and run unseen',
  severity: 'high',
  confidence: 'high',
  why: 'whoever has that server, or its name, has your build',
  fix: 'a pinned version with its checksum, then run it',
  *check(file) {
    for (const { at } of each(file, 'RUN')) {
      let from: string | undefined;
      for (const command of commandsOf(at)) {
        const { program } = split(command);
        if (!command.piped) from = undefined;
        else if (from !== undefined && runsInput(command)) yield { at, message: `${from} into ${program}` };
        if (FETCHES.test(program)) from = program;
        // `sh -c "$(curl …)"` and `bash <(curl …)`
        const [, inside] = /\n(?:\$\(|<\(\n)(curl|wget)\b/.exec(command.words.join('\n')) ?? [];
        if (inside !== undefined && (isShell(program) || RUNS.test(program)))
          yield { at, message: `${inside} into ${program}` };
      }
    }
  },
};

const FETCHES = /^(?:curl|wget)$/;
const RUNS = /^(?:eval|source|\.|node|python[\d.]*|perl|ruby)$/;

/** `sh`, `bash -s -- -y`, `python3 -`; not `python3 -c …` or `node own.js`, for which it is data. */
function runsInput(command: Command): boolean {
  const { program, flags, names } = split(command);
  if (isShell(program))
    return (
      flags.some((flag) => /^-\w*s$|^-$/.test(flag)) ||
      (names.length === 0 && !flags.some((flag) => /^-\w*c$/.test(flag)))
    );
  if (!RUNS.test(program)) return false;
  return flags.includes('-') || (names.length === 0 && !flags.some((flag) => /^-\w*[cemp]$|^--eval$/.test(flag)));
}
