import { commandsIn, isShell, scriptOf, split } from '../shell.ts';
import { execForm, lastOf, wordsOf } from '../stages.ts';
import type { DockerRule } from './rule.ts';

export const execOfProgram: DockerRule = {
  id: 'DL3025',
  title: 'CMD or ENTRYPOINT in the shell form',
  severity: 'high',
  confidence: 'medium',
  why: '/bin/sh is process 1 and passes no signal on: SIGTERM is lost, and after 10 s every request in flight with it',
  fix: 'the JSON form, CMD ["node", "server.js"], in double quotes',
  *check({ stages }) {
    for (const { instructions } of stages) {
      for (const at of instructions) {
        const keyword = at.getKeyword();
        if (keyword !== 'CMD' && keyword !== 'ENTRYPOINT') continue;
        if (execForm(at) === undefined) yield { at, message: `${keyword} is run by a shell` };
      }
    }
  },
};

/** They hand the signals on, or are gone when the program runs: what counts comes after them. */
const isInit = (word: string) => /^(?:.*\/)?(?:tini|dumb-init|catatonit|env)$|^-|=/.test(word);
const isManager = (program: string) => /^(?:npm|npx|yarn|pnpm)$/.test(program);

export const nothingBetween: DockerRule = {
  id: 'CL1001',
  title: 'Something between process 1 and the program',
  severity: 'high',
  confidence: 'medium',
  why: 'npm, and a shell that was not told to `exec`, keep the signals to themselves',
  fix: 'start the program itself, or end the script with `exec program`',
  *check({ last }) {
    const entrypoint = lastOf(last, 'ENTRYPOINT');
    const ownEntry = last?.instructions.some((each) => each.getKeyword() === 'ENTRYPOINT');
    const ownCmd = last?.instructions.some((each) => each.getKeyword() === 'CMD');
    // An ENTRYPOINT empties the CMD of the image that it builds on.
    const cmd = ownEntry && !ownCmd ? undefined : lastOf(last, 'CMD');
    const at = entrypoint ?? cmd;
    const all = [entrypoint, cmd].flatMap((each) => (each && execForm(each)) ?? []);
    const words = all.slice(
      Math.max(
        all.findIndex((word) => !isInit(word)),
        0,
      ),
    );
    if (at === undefined || execForm(at) === undefined) return;
    const { program } = split({ words });
    if (isManager(program)) yield { at, message: `${program} is process 1` };
    if (!isShell(program)) return;
    const command = commandsIn(scriptOf(words) ?? '').at(-1);
    if (command && (command.piped || !command.replaces))
      yield { at, message: `${program} is process 1, ${split(command).program} its child` };
  },
};

/** `node:node`, `1000:1000`: the user comes first. */
const userOf = (value: string) => value.split(':')[0] ?? '';
const isRoot = (user: string) => user === 'root' || /^0+$/.test(user);

export const notRoot: DockerRule = {
  id: 'DL3002',
  title: 'The last USER is root',
  severity: 'high',
  confidence: 'high',
  why: 'who breaks into the program owns the container, and every way out of it',
  fix: 'a USER of its own after the last step that needs root',
  *check({ last }) {
    const at = lastOf(last, 'USER');
    if (at === undefined) return;
    const user = userOf(wordsOf(at)[0] ?? '');
    if (isRoot(user)) yield { at, message: `the program runs as ${user}` };
  },
};

export const someUser: DockerRule = {
  id: 'CL1002',
  title: 'No USER',
  severity: 'medium',
  confidence: 'medium',
  why: 'then it is the base image’s user, and nearly all have root',
  fix: 'USER node, or another whose number is not 0',
  *check({ last }) {
    if (last && lastOf(last, 'USER') === undefined) yield { at: last.from, message: 'nothing says who runs it' };
  },
};
