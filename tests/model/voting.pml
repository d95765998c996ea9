/*
 * The voting rules of docs/protocol.md (3.2, 3.4, 3.5), written from the text and sharing nothing with the product.
 * The last LIARS of N replicas lie. What a replica signed stays signed, and whoever needs a certificate may act as
 * soon as q signatures exist; nobody is ever obliged to act. That covers loss, delay, reordering, duplication and
 * restarts: a message not delivered is an action not taken.
 *
 * What makes the space small, and why nothing is lost by it while fewer than q lie:
 * - Liars have signed every statement from the start. Each rule asks for signatures, none for their absence at
 *   another replica, so more signatures of liars allow more. CHECK_CONVICTED alone asks what liars need not have
 *   signed: there they sign only what completes a certificate.
 * - A block comes into being with the first honest vote for it, its parent chosen then: later means more certificates
 *   to choose from, and a block without an honest vote has no certificate. An unjustified block gets no honest vote.
 * - Two blocks for each view: with one liar of four, or two of seven, at most one has a notarization; with two of
 *   four, at most two have.
 * - Blocks of a view, honest replicas and liars are each interchangeable: lower numbers first, words sorted.
 * - A replica's view is the highest one in which it sent Notarize or Nullify: being in a later view without having
 *   spoken there forbids something and allows nothing.
 *
 * A counterexample is read with `pan -r -v` in the folder where `pan` left its trail.
 */
#ifndef VIEWS
#define VIEWS 3
#endif
#ifndef LIARS
#define LIARS 1
#endif
#ifndef N
#define N 4
#define F 1
#endif
#ifndef QUORUM
#define QUORUM ((N + F + 2) / 2) /* rule 1.1: the ceiling of (n + f + 1) / 2 */
#endif
#define HONEST (N - LIARS)

/* Block 0 is the genesis; blocks 2v+1 and 2v+2 are the two proposals of view v. */
#define BLOCKS (2 * VIEWS)
#define GENESIS 0
#define NONE 255
#define VIEW(b) (((b) - 1) / 2)
#define NEXT_VIEW(b) (((b) + 1) / 2)
#define TWIN(b) (((b) % 2) -> (b) + 1 : (b) - 1)

/* What one replica signed, as the bits of one word. */
#define NOTARIZE(b) ((b) - 1)
#define FINALIZE(b) (BLOCKS + (b) - 1)
#define NULLIFY(v) (2 * BLOCKS + (v))
#define STATEMENTS (2 * BLOCKS + VIEWS)
#define SIGNED(i, s) ((said[i] >> (s)) & 1)
#define FOUR_SIGNERS(s) (SIGNED(0, s) + SIGNED(1, s) + SIGNED(2, s) + SIGNED(3, s))
#if N == 7
#define SIGNERS(s) (FOUR_SIGNERS(s) + SIGNED(4, s) + SIGNED(5, s) + SIGNED(6, s))
#else
#define SIGNERS(s) FOUR_SIGNERS(s)
#endif
#define CERTIFIED(s) (SIGNERS(s) >= QUORUM)
#define NOTARIZED(b) ((b) == GENESIS || CERTIFIED(NOTARIZE(b)))
#define FINAL(b) (parent[b] != NONE && CERTIFIED(FINALIZE(b)))
#define NULLIFIED(v) CERTIFIED(NULLIFY(v))

/* Rule 3.2. */
#ifdef WITHOUT_NULLIFICATIONS
#define CROSSED(p, u, v) true
#else
#define CROSSED(p, u, v) ((u) < NEXT_VIEW(p) || (u) >= (v) || NULLIFIED(u))
#endif
#ifdef WITHOUT_PARENT_NOTARIZATION
#define PARENT_SHOWN(p) true
#else
#define PARENT_SHOWN(p) NOTARIZED(p)
#endif
#define JUSTIFIED(p, v) (PARENT_SHOWN(p) && CROSSED(p, 0, v) && CROSSED(p, 1, v))

/* Rule 3.4. */
#ifdef WITHOUT_R1
#define R1_NOTARIZE(i, b) true
#define WITHOUT_R1_FINALIZE
#else
#define R1_NOTARIZE(i, b) (!SIGNED(i, NOTARIZE(TWIN(b))))
#endif
#ifdef WITHOUT_R1_FINALIZE
#define R1_FINALIZE(i, b) true
#else
#define R1_FINALIZE(i, b) (!SIGNED(i, FINALIZE(TWIN(b))))
#endif
#ifdef WITHOUT_R2
#define R2_NULLIFY(i, v) true
#define R2_FINALIZE(i, v) true
#else
#define R2_NULLIFY(i, v) (!SIGNED(i, FINALIZE(2 * (v) + 1)) && !SIGNED(i, FINALIZE(2 * (v) + 2)))
#define R2_FINALIZE(i, v) (!SIGNED(i, NULLIFY(v)))
#endif
#ifdef WITHOUT_R2_PRIME
#define R2_PRIME_NOTARIZE(i, b) true
#define R2_PRIME_FINALIZE(i, b) true
#else
#define R2_PRIME_NOTARIZE(i, b) (!SIGNED(i, FINALIZE(TWIN(b))))
#define R2_PRIME_FINALIZE(i, b) (!SIGNED(i, NOTARIZE(TWIN(b))))
#endif
#ifdef WITHOUT_R3_NOTARIZATION
#define R3_NOTARIZATION(b) true
#else
#define R3_NOTARIZATION(b) NOTARIZED(b)
#endif

/* Rule 3.5: a notarization or nullification of v-1 leads into v, and nobody goes back. */
#define LATER(v) (((1 << BLOCKS) - (1 << (2 * (v) + 2))) | (((1 << VIEWS) - (1 << ((v) + 1))) << NULLIFY(0)))
#define IN_VIEW(i, v) \
    (!(said[i] & LATER(v)) && ((v) == 0 || NULLIFIED((v) - 1) || NOTARIZED(2 * (v) - 1) || NOTARIZED(2 * (v))))

/* Rule 6.2: the pairs of one replica's own signatures that convict it. */
#define BOTH(i, s, t) (SIGNED(i, s) && SIGNED(i, t))
#define DOUBLE_NOTARIZE(i, v) BOTH(i, NOTARIZE(2 * (v) + 1), NOTARIZE(2 * (v) + 2))
#define DOUBLE_FINALIZE(i, v) BOTH(i, FINALIZE(2 * (v) + 1), FINALIZE(2 * (v) + 2))
#ifdef WITHOUT_NULLIFY_FINALIZE
#define NULLIFY_FINALIZE(i, v) false
#else
#define NULLIFY_FINALIZE(i, v) \
    (BOTH(i, NULLIFY(v), FINALIZE(2 * (v) + 1)) || BOTH(i, NULLIFY(v), FINALIZE(2 * (v) + 2)))
#endif
#ifdef WITHOUT_NOTARIZE_FINALIZE
#define NOTARIZE_FINALIZE(i, v) false
#else
#define NOTARIZE_FINALIZE(i, v) \
    (BOTH(i, NOTARIZE(2 * (v) + 1), FINALIZE(2 * (v) + 2)) || BOTH(i, NOTARIZE(2 * (v) + 2), FINALIZE(2 * (v) + 1)))
#endif
/* The walk of 6.2 starts from finalizations alone, so pairs that hold a Finalize must do. */
#define CONVICTED(i, v) (DOUBLE_FINALIZE(i, v) || NULLIFY_FINALIZE(i, v) || NOTARIZE_FINALIZE(i, v))

int said[N];
byte parent[BLOCKS + 1] = NONE;
byte unjustified; /* one bit for each block that somebody signed although its justification does not check */

hidden byte x, y, guilty;
hidden int word;
bool forked;

inline sort(from, end) {
    x = from;
    do
    :: x + 1 < end ->
        y = x;
        do
        :: y + 1 < end ->
            if
            :: said[x] > said[y + 1] -> word = said[x]; said[x] = said[y + 1]; said[y + 1] = word
            :: else
            fi;
            y++
        :: else -> break
        od;
        x++
    :: else -> break
    od
}

/* Is there a final block y that the final block x, of the same view or a later one, does not descend from? */
inline look_for_fork() {
    forked = false;
    x = 1;
    do
    :: x <= BLOCKS ->
        if
        :: FINAL(x) ->
            y = 1;
            do
            :: y <= x ->
                if
                :: FINAL(y) ->
                    word = x;
                    do
                    :: word > y -> word = parent[word]
                    :: else -> break
                    od;
                    if
                    :: word != y -> forked = true
                    :: else
                    fi
                :: else
                fi;
                y++
            :: else -> break
            od
        :: else
        fi;
        x++
    :: else -> break
    od
}

inline look_for_guilty(from, end) {
    guilty = 0;
    x = from;
    do
    :: x < end ->
        y = 0;
        do
        :: y < VIEWS ->
            if
            :: CONVICTED(x, y) -> guilty++; break
            :: else -> y++
            fi
        :: else -> break
        od;
        x++
    :: else -> break
    od
}

/* Rule 8.1: what no honest replica may ever be shown to have signed. */
inline check_honest() {
    x = 0;
    do
    :: x < HONEST ->
        y = 0;
        do
        :: y < VIEWS ->
            assert(!DOUBLE_NOTARIZE(x, y));
            assert(!DOUBLE_FINALIZE(x, y));
            assert(!NULLIFY_FINALIZE(x, y));
            assert(!NOTARIZE_FINALIZE(x, y));
            y++
        :: else -> break
        od;
        assert(!((said[x] | said[x] >> BLOCKS) & unjustified));
        x++
    :: else -> break
    od
}

inline check_views() {
    x = 1;
    do
    :: x <= BLOCKS ->
#ifdef CHECK_NULLIFIED
        assert(!(FINAL(x) && NULLIFIED(VIEW(x))));
#endif
#ifdef CHECK_SECOND_NOTARIZATION
        assert(!(FINAL(x) && NOTARIZED(TWIN(x))));
#endif
#ifdef CHECK_EXTENSIBLE
        assert(!(FINAL(x) && !NOTARIZED(x)));
#endif
#ifdef NEVER_FINAL
        assert(!FINAL(x));
#endif
#ifdef NEVER_SKIPPED
        assert(!(FINAL(x) && NEXT_VIEW(parent[x]) < VIEW(x)));
#endif
#ifdef NEVER_NOTARIZED_AND_NULLIFIED
        assert(!(NOTARIZED(x) && NULLIFIED(VIEW(x))));
#endif
#ifdef NEVER_ONE_AFTER_THE_OTHER
        assert(!(FINAL(x) && parent[x] != GENESIS && FINAL(parent[x])));
#endif
        x++
    :: else -> break
    od
}

inline check() {
    check_views();
#ifdef CHECK_HONEST
    check_honest();
#endif
    if
    :: s >= FINALIZE(1) && s <= FINALIZE(BLOCKS) -> look_for_fork()
    :: else
    fi;
#ifdef CHECK_FORK
    assert(!forked);
#endif
#ifdef CHECK_CONVICTED
    if
    :: forked ->
        look_for_guilty(HONEST, N);
        assert(guilty >= F + 1)
    :: else
    fi
#else
    forked = false;
#endif
    sort(0, HONEST);
    sort(HONEST, N);
    x = 0; y = 0; word = 0; guilty = 0
}

/* Replica i signs statement s; b is the block it is about, p that block's parent. */
#define CHOOSE(r, statement, block, on) i = r; s = statement; b = block; p = on
#define SAME_AS_BEFORE(i) ((i) > 0 && said[i] == said[(i) - 1])
#define EXISTS(p) ((p) == GENESIS || parent[p] != NONE)
#define NEXT_TO_EXIST(b) (parent[b] == NONE && ((b) % 2 || parent[(b) - 1] != NONE))
#define GOOD_BLOCK(b, p) \
    (parent[b] == (p) && !(unjustified & 1 << ((b) - 1)) || NEXT_TO_EXIST(b) && EXISTS(p) && JUSTIFIED(p, VIEW(b)))
#ifdef WITHOUT_R3_CHECK
#define R3_CHECK(b, p) (parent[b] == (p) || NEXT_TO_EXIST(b) && EXISTS(p))
#else
#define R3_CHECK(b, p) GOOD_BLOCK(b, p)
#endif

#define TRY_NOTARIZE(i, b, p) \
    :: !SAME_AS_BEFORE(i) && !SIGNED(i, NOTARIZE(b)) && IN_VIEW(i, VIEW(b)) && GOOD_BLOCK(b, p) && R1_NOTARIZE(i, b) \
       && R2_PRIME_NOTARIZE(i, b) -> CHOOSE(i, NOTARIZE(b), b, p)
#define TRY_NULLIFY(i, v) \
    :: !SAME_AS_BEFORE(i) && !SIGNED(i, NULLIFY(v)) && IN_VIEW(i, v) && R2_NULLIFY(i, v) \
       -> CHOOSE(i, NULLIFY(v), GENESIS, NONE)
#define TRY_FINALIZE(i, b, p) \
    :: !SAME_AS_BEFORE(i) && !SIGNED(i, FINALIZE(b)) && R1_FINALIZE(i, b) && R2_FINALIZE(i, VIEW(b)) \
       && R2_PRIME_FINALIZE(i, b) && R3_NOTARIZATION(b) && R3_CHECK(b, p) -> CHOOSE(i, FINALIZE(b), b, p)
/* A liar signs only what may still complete a certificate. */
#define TRY_LIE(i, s) \
    :: !SIGNED(i, s) && !CERTIFIED(s) && SIGNERS(s) + LIARS - (SIGNED(2, s) + SIGNED(3, s)) >= QUORUM \
       && (i == HONEST || said[i] != said[i - 1]) -> CHOOSE(i, s, GENESIS, NONE)

#define VOTES(i, b, p) TRY_NOTARIZE(i, b, p) TRY_FINALIZE(i, b, p)
#define ON_VIEW_0(i, b) VOTES(i, b, 0)
#define ON_VIEW_1(i, b) ON_VIEW_0(i, b) VOTES(i, b, 1) VOTES(i, b, 2)
#define ON_VIEW_2(i, b) ON_VIEW_1(i, b) VOTES(i, b, 3) VOTES(i, b, 4)
#define IN_VIEWS_2(i) \
    ON_VIEW_0(i, 1) ON_VIEW_0(i, 2) TRY_NULLIFY(i, 0) \
    ON_VIEW_1(i, 3) ON_VIEW_1(i, 4) TRY_NULLIFY(i, 1)
#define IN_VIEWS_3(i) IN_VIEWS_2(i) ON_VIEW_2(i, 5) ON_VIEW_2(i, 6) TRY_NULLIFY(i, 2)
#if VIEWS == 2
#define ACTS(i) IN_VIEWS_2(i)
#else
#define ACTS(i) IN_VIEWS_3(i)
#endif
/* Every statement of two views. */
#define LIES(i) \
    TRY_LIE(i, 0) TRY_LIE(i, 1) TRY_LIE(i, 2) TRY_LIE(i, 3) TRY_LIE(i, 4) \
    TRY_LIE(i, 5) TRY_LIE(i, 6) TRY_LIE(i, 7) TRY_LIE(i, 8) TRY_LIE(i, 9)

active proctype group() {
    byte i, s, b, p;
    d_step {
#ifndef CHECK_CONVICTED
        i = HONEST;
        do
        :: i < N -> said[i] = (1 << STATEMENTS) - 1; i++
        :: else -> break
        od;
#endif
        i = 0
    }
end:
    do
    :: atomic {
        if
        ACTS(0)
#if HONEST > 1
        ACTS(1)
#endif
#if HONEST > 2
        ACTS(2)
#endif
#if HONEST > 3
        ACTS(3)
#endif
#if HONEST > 4
        ACTS(4)
#endif
#ifdef CHECK_CONVICTED
        LIES(2) LIES(3)
#endif
        fi;
        d_step {
            if
            :: b != GENESIS ->
#ifdef WITHOUT_R3_CHECK
                if
                :: parent[b] == NONE && s == FINALIZE(b) -> unjustified = unjustified | 1 << (b - 1)
                :: else
                fi;
#endif
                parent[b] = p
            :: else
            fi;
            said[i] = said[i] | 1 << s;
#ifdef CHECK_CONVICTED
            if
            :: i >= HONEST && !CERTIFIED(s) -> said[2] = said[2] | 1 << s; said[3] = said[3] | 1 << s
            :: else
            fi;
#endif
            check();
            i = 0; s = 0; b = 0; p = 0
        }
        if
        :: forked -> break
        :: else
        fi
    }
    od
}
