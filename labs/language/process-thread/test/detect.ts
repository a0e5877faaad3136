// A program of the laws and of the demo: what it may compute on, and with an argument what it gets (a burn's milliseconds).
import { calibrate, detectCpu } from '#lab';

const [, , ms] = process.argv;
console.log(JSON.stringify({ ...detectCpu(), measured: ms && (await calibrate(Number(ms))) }));
