import { alertmanager } from './alertmanager.ts';
import { browser, browserLender } from './browser.ts';
import { buildah } from './buildah.ts';
import { kafka, kafkaLender } from './kafka.ts';
import { kubernetes, kubernetesLender } from './kubernetes.ts';
import type { Lender } from './lending.ts';
import { mongodb, mongoLender } from './mongo.ts';
import { opensearch, opensearchLender } from './opensearch.ts';
import { postgres, postgresLender } from './postgres.ts';
import { prometheus } from './prometheus.ts';
import { rabbitLender, rabbitmq } from './rabbit.ts';
import { redis, redisLender } from './redis.ts';
import type { Service } from './service.ts';
import { zipkin } from './zipkin.ts';
import { zookeeper, zookeeperLender } from './zookeeper.ts';

/** Every kind of server that labs can ask for. A new one: its file, and a line here. */
export const services: readonly Service[] = [
  redis,
  postgres,
  rabbitmq,
  kafka,
  zookeeper,
  mongodb,
  opensearch,
  prometheus,
  alertmanager,
  zipkin,
  kubernetes,
  browser,
  buildah,
];

/** Those that a lessor can lend, so that many suites in a row need not each start their own. */
export const lenders: ReadonlyMap<string, Lender> = new Map([
  [redis.name, redisLender],
  [postgres.name, postgresLender],
  [rabbitmq.name, rabbitLender],
  [kafka.name, kafkaLender],
  [zookeeper.name, zookeeperLender],
  [mongodb.name, mongoLender],
  [opensearch.name, opensearchLender],
  [kubernetes.name, kubernetesLender],
  [browser.name, browserLender],
]);
