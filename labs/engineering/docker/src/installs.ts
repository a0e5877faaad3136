import { type Command, split } from './shell.ts';

/** Per package manager: what installs all that the project names, and which flag keeps it to the lockfile. */
const MANAGERS = new Map([
  ['npm', { install: /^(?:ci|install|i)$/, frozen: /^$/ }],
  ['yarn', { install: /^(?:install)?$/, frozen: /^--(?:frozen-lockfile|immutable)(?:=true)?$/ }],
  ['pnpm', { install: /^(?:install|i)$/, frozen: /^--frozen-lockfile(?:=true)?$/ }],
  ['bun', { install: /^(?:install|i)$/, frozen: /^--frozen-lockfile(?:=true)?$/ }],
  ['pip', { install: /^install$/, frozen: /^/ }],
  ['pip3', { install: /^install$/, frozen: /^/ }],
]);

/** Flags with a value: `npm --prefix web install` installs what the project names. */
const VALUED =
  /^(?:--(?:prefix|omit|include|only|registry|cwd|dir|filter|workspace|loglevel|cache|cache-folder|modules-folder|mutex|network-timeout|index-url)|-[CFiw])$/;

/** Whether a command installs the project's dependencies, and whether exactly those of the lockfile. */
export function installs(command: Command): { frozen: boolean } | undefined {
  const { program, flags, names } = split(command, VALUED);
  const manager = MANAGERS.get(program);
  const [action = '', ...packages] = names;
  if (manager === undefined || !manager.install.test(action)) return undefined;
  const isPip = program.startsWith('pip');
  if (isPip ? !flags.some((flag) => /^(?:-r|--requirement)/.test(flag)) : packages.length > 0) return undefined;
  // Another folder's, or none at all.
  if (flags.some((flag) => /^(?:-g|--global|-v|--version|--help)$/.test(flag))) return undefined;
  return { frozen: action === 'ci' || isPip || flags.some((flag) => manager.frozen.test(flag)) };
}
