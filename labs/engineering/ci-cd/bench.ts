// biome-ignore-all lint/suspicious/noTemplateCurlyInString: it is what GitHub calls an expression
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { runWorkflow } from './src/index.ts';
import { newProject } from './test/project.ts';

const exec = promisify(execFile);
const FILE = '.github/workflows/ci.yml';
const workflow = (jobs: string) => `name: ci\non: push\njobs:\n${jobs}`;
const CHAIN = workflow(
  `  build: { runs-on: ubuntu-latest, outputs: { v: "\${{ steps.a.outputs.v }}" }, steps: [{ id: a, run: echo v=1 >> $GITHUB_OUTPUT }] }\n` +
    `  test: { runs-on: ubuntu-latest, needs: build, strategy: { matrix: { n: [1, 2] } }, steps: [{ run: "test \${{ needs.build.outputs.v }} = 1" }] }\n`,
);

await tell({ title: 'The lab against act', dir: import.meta.dirname }, async (story) => {
  using project = newProject();
  const home = mkdtempSync(join(tmpdir(), 'act-'));
  using _ = { [Symbol.dispose]: () => rmSync(home, { recursive: true, force: true }) };
  // On this machine without containers, as the lab does.
  const act = async () => {
    const env = { ...process.env, HOME: home, XDG_CACHE_HOME: home };
    const args = ['push', '-P', 'ubuntu-latest=-self-hosted', '--pull=false'];
    return exec('act', args, { cwd: project.folder, env }).then(
      () => 'success',
      (error: { code?: unknown }) => (typeof error.code === 'number' ? 'failure' : 'not there'),
    );
  };
  const lab = async () => (await runWorkflow({ repository: project.folder })).conclusion;
  project.commit({ [FILE]: CHAIN });
  if ((await act()) === 'not there') {
    story.skip('act', 'it is not on PATH: go install github.com/nektos/act@v0.2.89');
    story.verdict('the lab runs alone', await lab(), (await lab()) === 'success');
    return;
  }

  await story.scene('Two jobs, a matrix, an output', async () => {
    const standings = await contest({ lab, act }, { workers: 1, rounds: 5, turnMs: 800 });
    story.table(standingsTable(standings));
    const [mine, theirs] = standings;
    if (!mine || !theirs) throw new Error('two contestants');
    // act runs in the folder itself; a clean clone is three calls of git for each job.
    const times = ratio(mine, theirs);
    story.verdict(
      'the price of clean clones is less than two thirds',
      `${times.toFixed(2)} × the runs of act`,
      times >= 1 / 3,
    );
  });

  await story.scene('What they make of it', async () => {
    const job = (rest: string) => workflow(`  a:\n    runs-on: ubuntu-latest\n${rest}`);
    const cases: [what: string, expected: string, text: string, dirty?: { [path: string]: string }][] = [
      ['a red test', 'failure', job('    steps: [{ run: exit 1 }]\n')],
      ['a pipe without pipefail', 'success', job('    steps: [{ run: false | cat }]\n')],
      ['shell: bash, with a pipe', 'failure', job('    steps: [{ run: false | cat, shell: bash }]\n')],
      [
        'a job behind a skipped one runs',
        'success',
        `${job('    if: false\n    steps: [{ run: exit 1 }]\n')}  b: { runs-on: ubuntu-latest, needs: a, steps: [{ run: exit 1 }] }\n  c: { runs-on: ubuntu-latest, steps: [{ run: exit 0 }] }\n`,
      ],
      [
        'a file that is not committed',
        'failure',
        job('    steps: [{ uses: actions/checkout@v4 }, { run: test -e extra.txt }]\n'),
        { 'extra.txt': 'x' },
      ],
      [
        'an unknown function in a step that is skipped',
        'WorkflowError',
        job('    steps: [{ run: "echo ${{ isMain() }}", if: false }, { run: exit 0 }]\n'),
      ],
      [
        'a cycle',
        'CycleError',
        workflow(
          '  a: { runs-on: x, needs: b, steps: [{ run: exit 0 }] }\n  b: { runs-on: x, needs: a, steps: [{ run: exit 0 }] }\n',
        ),
      ],
    ];
    const rows = [];
    for (const [what, expected, text, dirty] of cases) {
      project.commit({ [FILE]: text });
      if (dirty) project.write(dirty);
      rows.push([what, expected, await lab().catch((error: Error) => error.name), await act()]);
      project.git('clean', '-fdq');
    }
    story.table({ columns: ['', 'right', 'lab', 'act'], rows });
    story.verdict(
      'the lab is right each time',
      `${rows.filter((row) => row[1] === row[2]).length} of ${rows.length}`,
      rows.every((row) => row[1] === row[2]),
    );
  });
});
