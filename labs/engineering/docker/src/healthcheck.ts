import { healthcheck } from './health.ts';

// HEALTHCHECK CMD ["node", "healthcheck.ts"]. Docker knows 0 and 1; 2 is reserved.
const { healthy, why } = await healthcheck(process.argv[2] ?? `http://127.0.0.1:${process.env['PORT'] ?? 3000}/ready`);
console.log(why);
process.exit(healthy ? 0 : 1);
