import { installs } from '../installs.ts';
import { commandsOf } from '../shell.ts';
import { copied, isFromStage } from '../stages.ts';
import { type DockerRule, each } from './rule.ts';

const isEverything = (source: string) => /^\.?\/?\*?$/.test(source);

export const dependenciesFirst: DockerRule = {
  id: 'CL1005',
  title: 'The source is copied before the dependencies are installed',
  severity: 'medium',
  confidence: 'high',
  why: 'a layer is cached until something above it changes: each edit installs everything anew',
  fix: 'COPY package.json and the lockfile, install, then COPY the rest',
  *check({ stages }) {
    for (const { instructions } of stages) {
      const install = instructions.findIndex((at) => at.getKeyword() === 'RUN' && commandsOf(at).some(installs));
      const early = instructions
        .slice(0, Math.max(install, 0))
        .find(
          (at) => /^(?:COPY|ADD)$/.test(at.getKeyword()) && !isFromStage(at) && copied(at).sources.some(isEverything),
        );
      if (early !== undefined)
        yield { at: early, message: 'everything is copied, then the dependencies are installed' };
    }
  },
};

export const frozenInstall: DockerRule = {
  id: 'CL1007',
  title: 'Dependencies are installed without the lockfile',
  severity: 'medium',
  confidence: 'high',
  why: 'the image has versions that nobody has tested',
  fix: 'npm ci, yarn install --immutable, pnpm install --frozen-lockfile',
  *check(file) {
    for (const { at } of each(file, 'RUN')) {
      const loose = commandsOf(at).find((command) => installs(command)?.frozen === false);
      if (loose) yield { at, message: `\`${loose.words.join(' ')}\` may bring other versions` };
    }
  },
};
