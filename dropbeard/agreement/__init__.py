"""The sans-IO protocol of one replica: events in, effects out (``replica.handle``), nothing else.

What each module carries out, by the numbers of the protocol (ARCHITECTURE.md has the text of every rule):

======================  ==============================================================================================
``requests``            2.1 one id is one request; 2.2 admit or reject with a reason; 2.5 one answer per request and
                        version; 2.6 commitments; 2.7 lane batches and ticks; 2.8 the lane's bound; 2.9 openings
``lane_store``          2.7, 2.8 lanes as chains, two batches kept per height
``proposing``           3.1 header, cut and time; 3.2 one proposal on the best notarized block, justified
``ordering``            3.3 what a valid proposal is; 3.6 work, starvation, silent leaders; 3.7 time-outs
``voting``              3.4 R1 at most one Notarize a view; R2 never Nullify and Finalize; R2' never Notarize g and
                        Finalize h; R3 Finalize only a notarized block whose header and justification were checked;
                        3.5 entering views
``holding``             3.3 what a block orders is held; 3.8 what a vote depends on is on disk
``fetching``            3.9 status, and fetching what links lost
``ledger``              4.2 attestations; 4.4 agreed and expired; 4.5 supplements; 4.6 forgetting
``ledger_state``        4.1 tables, changes in one order, state root
``finality``            3.5 final blocks; 7.1 what is kept
``replies``             5.2 what clients are sent
``restoring``           7.3 the same promises, votes and lane after a restart
``turn``                3.8 promises on disk before anything is sent
``inspection``          signatures are checked before the core
======================  ==============================================================================================
"""
