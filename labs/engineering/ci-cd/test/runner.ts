// Runs a workflow in a process of its own, to be killed: `runner.ts REPOSITORY`.
import { runWorkflow } from '#lab';

await runWorkflow({ repository: process.argv[2] ?? '' });
