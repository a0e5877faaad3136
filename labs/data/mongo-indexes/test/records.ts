// What a mongod answered to `explain`, as others have recorded it: the parts that a reader of plans needs, unchanged.
// Figures of the single stages are left out. `compass`: github.com/mongodb-js/compass, packages/explain-plan-helper/test/fixtures.

/** compass, aggregate_collscan.json (5.0.3): `$limit`, `$match`, `$lookup` over a whole collection. */
export const AGGREGATE_COLLSCAN = {
  explainVersion: '1',
  stages: [
    {
      $cursor: {
        queryPlanner: {
          namespace: 'airbnb.reviews',
          winningPlan: { stage: 'LIMIT', limitAmount: 100, inputStage: { stage: 'COLLSCAN', direction: 'forward' } },
          rejectedPlans: [],
        },
        executionStats: { executionSuccess: true, nReturned: 100, totalKeysExamined: 0, totalDocsExamined: 100 },
      },
      nReturned: 100,
    },
    { $match: { comments: { $regex: 'good', $options: 'i' } }, nReturned: 20 },
    { $lookup: { from: 'listings', as: 'listing', localField: 'listing_id', foreignField: 'id' }, nReturned: 20 },
  ],
};

/** compass, aggregate_$cursor_sbe.json (5.3.0, slot-based): `{ abbreviation: /png/i }` on an index, then `$unwind`. */
export const REGEX_SBE = {
  explainVersion: '2',
  stages: [
    {
      $cursor: {
        queryPlanner: {
          namespace: 'bigDB.faker_hacker',
          winningPlan: {
            queryPlan: {
              stage: 'LIMIT',
              planNodeId: 3,
              limitAmount: 6,
              inputStage: {
                stage: 'FETCH',
                planNodeId: 2,
                inputStage: {
                  stage: 'IXSCAN',
                  planNodeId: 1,
                  filter: { abbreviation: { $regex: 'png', $options: 'i' } },
                  keyPattern: { abbreviation: 1 },
                  indexName: 'abbr_index',
                  isMultiKey: false,
                  direction: 'forward',
                  indexBounds: { abbreviation: ['["", {})', '[/png/i, /png/i]'] },
                },
              },
            },
            slotBasedPlan: { slots: '$$RESULT=s25 …', stages: '[3] limit 6 \n[2] nlj [] [s9, s5, s6, s7, s8] …' },
          },
          rejectedPlans: [],
        },
        executionStats: { executionSuccess: true, nReturned: 6, totalKeysExamined: 479, totalDocsExamined: 6 },
      },
      nReturned: 6,
    },
    { $unwind: { path: '$noun', preserveNullAndEmptyArrays: true }, nReturned: 6 },
    { $limit: 6, nReturned: 6 },
  ],
};

/** compass, count_scan.json (8.0.0-rc15, slot-based): `$match` and `$count` by a multikey index. */
export const COUNT_SBE = {
  explainVersion: '2',
  stages: [
    {
      $cursor: {
        queryPlanner: {
          namespace: 'air.count_scan',
          winningPlan: {
            isCached: false,
            queryPlan: {
              stage: 'GROUP',
              planNodeId: 2,
              inputStage: {
                stage: 'COUNT_SCAN',
                planNodeId: 1,
                keyPattern: { a: 1 },
                indexName: 'a_1',
                isMultiKey: true,
                indexBounds: { startKey: { a: 1 }, startKeyInclusive: true, endKey: { a: 1 }, endKeyInclusive: true },
              },
            },
            slotBasedPlan: { slots: '$$RESULT=s8 …', stages: '[2] project [s8 = newObj("_id", s6, "count", s7)] …' },
          },
          rejectedPlans: [],
        },
        executionStats: { executionSuccess: true, nReturned: 1, totalKeysExamined: 2, totalDocsExamined: 0 },
      },
      nReturned: 1,
    },
    { $project: { count: true, _id: false }, nReturned: 1 },
  ],
};

/** compass, express_index_scan.json (8.0.0-rc15). An express plan tells its key as a text. */
export const EXPRESS = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'airbnb.t',
    winningPlan: { isCached: false, stage: 'EXPRESS_IXSCAN', keyPattern: '{ a: 1, b: 1 }', indexName: 'a_1_b_1' },
    rejectedPlans: [],
  },
  executionStats: { executionSuccess: true, nReturned: 1, totalKeysExamined: 1, totalDocsExamined: 1 },
};

/** compass, express_clustered_scan.json (8.0.0-rc15): `_id` of a clustered collection. */
export const EXPRESS_CLUSTERED = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'airbnb.cs',
    winningPlan: { isCached: false, stage: 'EXPRESS_CLUSTERED_IXSCAN' },
    rejectedPlans: [],
  },
  executionStats: { executionSuccess: true, nReturned: 1, totalKeysExamined: 0, totalDocsExamined: 1 },
};

/** compass, clustered_scan.json (8.0.0-rc15): the same by a hint. */
export const CLUSTERED = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'airbnb.cs',
    winningPlan: { isCached: false, stage: 'CLUSTERED_IXSCAN', direction: 'forward', minRecord: 0, maxRecord: 0 },
    rejectedPlans: [],
  },
  executionStats: { executionSuccess: true, nReturned: 1, totalKeysExamined: 0, totalDocsExamined: 2 },
};

const byAge = {
  stage: 'SHARDING_FILTER',
  inputStage: {
    stage: 'FETCH',
    inputStage: {
      stage: 'IXSCAN',
      keyPattern: { age: 1 },
      indexName: 'age_1',
      isMultiKey: false,
      direction: 'forward',
      indexBounds: { age: ['[40.0, 40.0]'] },
    },
  },
};

/** compass, sharded_mixed_index_3.2.json: the index is on two of three shards. */
export const SHARDED_MIXED = {
  queryPlanner: {
    mongosPlannerVersion: 1,
    winningPlan: {
      stage: 'SHARD_MERGE',
      shards: [
        {
          shardName: 'shard01',
          winningPlan: {
            stage: 'SHARDING_FILTER',
            inputStage: { stage: 'COLLSCAN', filter: { age: { $eq: 40 } }, direction: 'forward' },
          },
          rejectedPlans: [],
        },
        { shardName: 'shard02', winningPlan: byAge, rejectedPlans: [] },
        { shardName: 'shard03', winningPlan: byAge, rejectedPlans: [] },
      ],
    },
  },
  executionStats: { nReturned: 22_528, totalKeysExamined: 15_485, totalDocsExamined: 330_552 },
};

const near = {
  $geoNearCursor: {
    queryPlanner: {
      namespace: 'sharded-db.listings',
      winningPlan: {
        stage: 'SHARDING_FILTER',
        inputStage: {
          stage: 'GEO_NEAR_2DSPHERE',
          keyPattern: { 'address.location': '2dsphere' },
          indexName: 'address_location',
          inputStage: {
            stage: 'FETCH',
            inputStage: {
              stage: 'IXSCAN',
              indexName: 'address_location',
              isMultiKey: false,
              indexBounds: { 'address.location': ['[936748722493063168, 936748722493063168]'] },
            },
          },
        },
      },
      rejectedPlans: [],
    },
    executionStats: { executionSuccess: true, nReturned: 0, totalKeysExamined: 0, totalDocsExamined: 0 },
  },
  nReturned: 0,
};

/** compass, multi-shard-aggregate-with-stages.json (5.3.0), of its two shards the second's plan as the first's. */
export const SHARDED_AGGREGATE = {
  mergeType: 'anyShard',
  splitPipeline: {
    shardsPart: [{ $geoNear: { distanceField: 'distance', maxDistance: 10_000 } }],
    mergerPart: [
      { $mergeCursors: { sort: { distance: 1 }, nss: 'sharded-db.listings' } },
      { $group: { _id: { $const: null }, host_ids: { $addToSet: '$host_id' } } },
      { $unwind: { path: '$host_ids' } },
    ],
  },
  shards: { shard2: { host: 'localhost:8002', stages: [near] }, shard1: { host: 'localhost:8001', stages: [near] } },
};

/** compass, aggregate_$lookup_with_indexes.json (5.0.8): a small collection is read whole, the other one by `_id`. */
export const LOOKUP = {
  explainVersion: '1',
  stages: [
    {
      $cursor: {
        queryPlanner: {
          namespace: 'kashmir.folks',
          winningPlan: { stage: 'COLLSCAN', direction: 'forward' },
          rejectedPlans: [],
        },
        executionStats: { executionSuccess: true, nReturned: 6, totalKeysExamined: 0, totalDocsExamined: 6 },
      },
      nReturned: 6,
    },
    {
      $lookup: { from: 'districts', as: 'district', localField: 'district_id', foreignField: '_id' },
      totalDocsExamined: 5,
      totalKeysExamined: 5,
      collectionScans: 0,
      indexesUsed: ['_id_'],
      nReturned: 6,
    },
  ],
};

/**
 * github.com/zmproni/flight-dataset-preprocessing-and-loading, results/indexed/2nd-qry.js (6.0.3): ten flights of 128,466,
 * sorted by a field that the index doesn't have.
 */
export const SORTED_IN_MEMORY = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'expedia.tickets',
    winningPlan: {
      stage: 'PROJECTION_DEFAULT',
      inputStage: {
        stage: 'SORT',
        sortPattern: { baseFare: 1 },
        memLimit: 104_857_600,
        limitAmount: 10,
        type: 'simple',
        inputStage: {
          stage: 'FETCH',
          inputStage: {
            stage: 'IXSCAN',
            keyPattern: { startingAirport: 1, destinationAirport: 1 },
            indexName: 'startingAirport_1_destinationAirport_1',
            isMultiKey: false,
            direction: 'forward',
            indexBounds: {
              startingAirport: ['["LAX", "LAX"]'],
              destinationAirport: ['["JFK", "JFK"]', '["LGA", "LGA"]'],
            },
          },
        },
      },
    },
    rejectedPlans: [],
  },
  executionStats: {
    executionSuccess: true,
    nReturned: 10,
    totalKeysExamined: 128_467,
    totalDocsExamined: 128_466,
  },
};

/** github.com/official-stockfish/fishtest/pull/1514: a covered query; its second field has no bounds, and needs none. */
export const COVERED = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'fishtest_new.runs',
    winningPlan: {
      stage: 'PROJECTION_COVERED',
      transformBy: { last_updated: -1, _id: 0 },
      inputStage: {
        stage: 'IXSCAN',
        keyPattern: { 'args.username': -1, last_updated: -1 },
        indexName: 'user_runs',
        isMultiKey: false,
        direction: 'forward',
        indexBounds: { 'args.username': ['["Vizvezdenec", "Vizvezdenec"]'], last_updated: ['[MaxKey, MinKey]'] },
      },
    },
    rejectedPlans: [],
  },
  executionStats: { executionSuccess: true, nReturned: 19_304, totalKeysExamined: 19_304, totalDocsExamined: 0 },
};

const email = ['["user1@gmail.com", "user1@gmail.com"]'];

/** A public shell log of 8.2.11 (`indexpoc.users`, queryShapeHash 129D9E93…): covered, and a plan that lost. */
export const WITH_A_REJECTED_PLAN = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'indexpoc.users',
    winningPlan: {
      isCached: false,
      stage: 'PROJECTION_COVERED',
      transformBy: { email: 1, status: 1, _id: 0 },
      inputStage: {
        stage: 'IXSCAN',
        keyPattern: { email: 1, status: 1 },
        indexName: 'email_1_status_1',
        isMultiKey: false,
        direction: 'forward',
        indexBounds: { email, status: ['[MinKey, MaxKey]'] },
      },
    },
    rejectedPlans: [
      {
        isCached: false,
        stage: 'PROJECTION_SIMPLE',
        transformBy: { email: 1, status: 1, _id: 0 },
        inputStage: {
          stage: 'FETCH',
          inputStage: {
            stage: 'IXSCAN',
            keyPattern: { email: 1 },
            indexName: 'email_1',
            isMultiKey: false,
            direction: 'forward',
            indexBounds: { email },
          },
        },
      },
    ],
  },
  executionStats: { executionSuccess: true, nReturned: 1, totalKeysExamined: 1, totalDocsExamined: 0 },
};

/** The same log (queryShapeHash A55E680D…): all users, sorted by an index. */
export const SORTED_BY_INDEX = {
  explainVersion: '1',
  queryPlanner: {
    namespace: 'indexpoc.users',
    winningPlan: {
      isCached: false,
      stage: 'FETCH',
      inputStage: {
        stage: 'IXSCAN',
        keyPattern: { email: 1, status: 1 },
        indexName: 'email_1_status_1',
        isMultiKey: false,
        direction: 'forward',
        indexBounds: { email: ['[MinKey, MaxKey]'], status: ['[MinKey, MaxKey]'] },
      },
    },
    rejectedPlans: [],
  },
  executionStats: {
    executionSuccess: true,
    nReturned: 100_000,
    totalKeysExamined: 100_000,
    totalDocsExamined: 100_000,
  },
};
