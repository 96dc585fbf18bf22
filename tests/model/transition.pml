/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transition of one patch of two functions in a process of three threads, one of
 * them with a signal handler: arming, dispatching, switching, reversing, settling,
 * restoring, giving back, and the death of the tool at every step.  The names are those of
 * src/transition/steps.c and machine.c.
 *
 * What is taken as given: an entry and a slot change with one store, and a processor that
 * runs the code meanwhile sees it before or after (redirect/entry.h); a thread that is
 * checked stands still; the record changes with one store (target/record.h).
 *
 * What is shown, for every interleaving:
 *   - one version: whatever is on a thread's stack at one time is of one version, also
 *     under a signal handler;
 *   - nothing freed runs: who is in a stub, a displaced copy or new code has it mapped;
 *   - every transition ends: there is no state in which the tool waits for ever, and where
 *     it ends nothing is left behind.
 *
 * With ASLEEP the tool may switch a thread where it sleeps, without its standing for it
 * (transition/peek.c, step switch_asleep): all that it knows is whether the thread has
 * moved since.  With BACK a thread that has looked may be put back (arch->dispatch_undo).
 *
 * With LEAVE, which goes with ASLEEP, a thread in what it has to leave first may be told how
 * to switch itself (member.c, step leave).  Threads call twice then, from one of two places
 * of their stack, and handlers may have a stack of their own.
 *
 * tests/model/run checks it, and checks that each of the BUG_ variants is found wrong.
 */
#ifndef THREADS
#define THREADS 3
#endif
#define FUNCS 2

#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef TURNS
#define TURNS 1
#endif
/* How often a thread is looked at asleep. */
#ifndef TRIES
#define TRIES 3
#endif

mtype = { ORIG, GATE, NEW };             /* what stands at an entry */
mtype = { BELOW, STUB, STRAIGHT };       /* where a gate's slot leads */
mtype = { NONE, LOADING, ENABLING, APPLIED, DISABLING, RESTORING, UNLOADING };

mtype entry[FUNCS] = ORIG;
mtype slot[FUNCS] = BELOW;
bool patch_mapped, dispatch_mapped;
bool in_table[THREADS], patched[THREADS]; /* the dispatcher's table */
bool initial;                            /* the state of who is not in it */
#ifdef ASLEEP
bool tentative[THREADS];                 /* the state, in the same byte */
byte mark[THREADS];                      /* 0, or 1 + the version that it has decided for */
bool moved[THREADS];                     /* since the tool looked: its count */
bool unsure[THREADS];                    /* what the tool has to see standing */
bool died;
#define moves(t) moved[t] = true
#else
#define moves(t) skip
#endif
/* How deep on its stack a thread is when it calls; a handler's own stack is above all. */
#define OWN_STACK 1
#define FIRST 2
#define HANDLER 6
#ifdef LEAVE
byte leaves_at[THREADS];                 /* 0, or how deep it calls when it has left */
byte main_frames[THREADS], outermost[THREADS]; /* of the thread itself, and how deep */
byte calls_from[THREADS];                /* how deep it is now, with no frame */
#define push(t, h, deep) if \
	:: !h && !main_frames[t] -> outermost[t] = deep; main_frames[t]++ \
	:: !h && main_frames[t] -> main_frames[t]++ \
	:: h -> skip fi
#define pop(t, h) if :: h -> skip :: !h -> main_frames[t]-- fi
#else
#define push(t, h, deep) skip
#define pop(t, h) skip
#endif
mtype phase = NONE;                      /* the record's state of the patch */

/* What is on a thread's stack; a handler's frames count with its thread's. */
byte old_frames[THREADS], new_frames[THREADS];
byte at_entry[THREADS];                  /* at a gate, or not far into the dispatcher */
byte in_dispatcher[THREADS], in_copy[THREADS];
bool interrupted[THREADS];               /* its handler runs, not it */
/* By thread and whether in its handler: the dispatcher has decided, and the tool has undone it. */
bool has_looked[6], put_back[6];
byte running = THREADS;

#define one_version(t) assert(!(old_frames[t] && new_frames[t]))
#define in_stubs(t) (at_entry[t] || in_dispatcher[t] || in_copy[t])
#ifdef LEAVE
#define state_of(t) (in_table[t] -> (mark[t] -> mark[t] == 2 : patched[t]) : initial)
#else
#define state_of(t) (in_table[t] -> patched[t] : initial)
#endif

/*
 * May it be switched?  Who is at an entry has not begun to look for its state, and will
 * find the new one (transition/check.c, translate); who has looked may have passed by.
 */
#ifdef BUG_UNDO_LATE
#define is_clear(t, to) (!in_copy[t] && !(to -> old_frames[t] : new_frames[t]))
#else
#define is_clear(t, to) (!in_dispatcher[t] && !in_copy[t] && \
			 !(to -> old_frames[t] : new_frames[t]))
#endif

/* The innermost frame is past its look, and would be clear without it (member.c, rewind_entry). */
#define innermost(t) (2 * t + interrupted[t])
#if defined(ASLEEP) && !defined(BACK)
#define can_be_put_back(t, to) false
#elif defined(BUG_PUT_BACK_UNCHECKED)
#define can_be_put_back(t, to) (in_dispatcher[t] == 1 && has_looked[innermost(t)])
#else
#define can_be_put_back(t, to) (in_dispatcher[t] == 1 && has_looked[innermost(t)] && \
				!in_copy[t] && !(to -> old_frames[t] : new_frames[t]))
#endif
#define put_it_back(t) has_looked[innermost(t)] = false; put_back[innermost(t)] = true; \
	in_dispatcher[t]--

/*
 * A call of function f by thread t (in its handler if h): from the entry, one instruction
 * at a time, into the version that runs; is_new is that one, deep where its caller is.
 */
inline call(t, h, f, is_new, deep)
{
	where = 4;
	do
	:: where == 4 ->
		atomic {
			h == interrupted[t];
			moves(t);
			if
			:: entry[f] == ORIG -> old_frames[t]++; is_new = false; where = 3
			:: entry[f] == NEW -> assert(patch_mapped); new_frames[t]++;
				is_new = true; where = 3
			:: entry[f] == GATE -> at_entry[t]++; where = 0
			fi;
			if :: where == 3 -> push(t, h, deep) :: else -> skip fi;
			one_version(t)
		}
	:: where == 0 ->
		atomic {
			h == interrupted[t];
			moves(t);
			assert(patch_mapped);
			if
			:: slot[f] == BELOW -> at_entry[t]--; in_copy[t]++; old_frames[t]++;
				is_new = false; where = 2
			:: slot[f] == STRAIGHT -> at_entry[t]--; new_frames[t]++;
				is_new = true; where = 3
			:: slot[f] == STUB -> where = 1
			fi;
			if :: where != 1 -> push(t, h, deep) :: else -> skip fi;
			one_version(t)
		}
	:: where == 1 ->
		/* It looks for its place, reads the state, and a moment later jumps. */
		atomic {
			h == interrupted[t];
			moves(t);
			assert(dispatch_mapped);
			at_entry[t]--;
			in_dispatcher[t]++;
			has_looked[2 * t + h] = true;
			is_new = in_table[t];
			where = 5
		}
	:: where == 5 ->
		atomic {
			h == interrupted[t];
			if
			:: put_back[2 * t + h] -> put_back[2 * t + h] = false; where = 4
			:: else ->
				assert(dispatch_mapped);
				moves(t);
#ifdef ASLEEP
				/* State and mark are read at once. */
				if
				:: is_new && mark[t] -> is_new = mark[t] == 2; where = 6
				:: is_new && !mark[t] && tentative[t] ->
					is_new = patched[t]; where = 7
#ifdef LEAVE
				:: is_new && !mark[t] && leaves_at[t] && deep > leaves_at[t] ->
					is_new = patched[t]; where = 6
				:: is_new && !mark[t] && leaves_at[t] && deep == leaves_at[t] ->
					is_new = !patched[t]; where = 7
				:: is_new && !mark[t] && leaves_at[t] && deep < leaves_at[t] ->
#ifdef BUG_NOT_GIVEN_UP
					is_new = patched[t]; where = 6
#else
					is_new = patched[t]; where = 7
#endif
				:: is_new && !mark[t] && !tentative[t] && !leaves_at[t] ->
#else
				:: is_new && !mark[t] && !tentative[t] ->
#endif
					is_new = patched[t]; where = 6
				:: !is_new -> is_new = initial; where = 6
				fi
#else
				is_new = (is_new -> patched[t] : initial);
				where = 6
#endif
			fi
		}
#ifdef ASLEEP
	:: where == 7 ->
		atomic {
			h == interrupted[t];
			if
			:: put_back[2 * t + h] -> put_back[2 * t + h] = false; where = 4
			:: else ->
				assert(dispatch_mapped);
				moves(t);
				mark[t] = 1 + is_new;
				where = 6
			fi
		}
#endif
	:: where == 6 ->
		atomic {
			h == interrupted[t];
			if
			:: put_back[2 * t + h] -> put_back[2 * t + h] = false; where = 4
			:: else ->
				assert(dispatch_mapped);
				moves(t);
				in_dispatcher[t]--;
				has_looked[2 * t + h] = false;
				if
				:: is_new -> new_frames[t]++; where = 3
				:: else -> in_copy[t]++; old_frames[t]++; where = 2
				fi;
				push(t, h, deep);
				one_version(t)
			fi
		}
	:: where == 2 ->
		atomic {
			h == interrupted[t];
			moves(t);
			assert(patch_mapped);
			in_copy[t]--;
			where = 3
		}
	:: where == 3 -> break
	od
}

inline leave(t, h, is_new)
{
	atomic {
		h == interrupted[t];
		moves(t);
		if
		:: is_new -> assert(patch_mapped); new_frames[t]--
		:: else -> old_frames[t]--
		fi;
		pop(t, h)
	}
}

#ifdef LEAVE
#define from_somewhere(deep) if :: deep = FIRST :: deep = FIRST + 1 fi; calls_from[t] = deep
#define ROUNDS 2
#else
#define from_somewhere(deep) deep = FIRST
#define ROUNDS 1
#endif

/* The first function calls the second: a chain that must be of one version. */
proctype thread(byte t)
{
	bool outer, inner;
	byte where, deep, round;

	do
	:: round < ROUNDS ->
		round++;
		from_somewhere(deep);
		call(t, false, 0, outer, deep);
		call(t, false, 1, inner, deep + 1);
		leave(t, false, inner);
		leave(t, false, outer)
	:: else -> break
	od;
	atomic { running--; outer = false; inner = false; where = 0; deep = 0; round = 0 }
}

/* One that calls only the second. */
proctype short_thread(byte t)
{
	bool inner;
	byte where;

	call(t, false, 1, inner, FIRST);
	leave(t, false, inner);
	atomic { running--; inner = false; where = 0 }
}

/* It may come at any time, over whatever its thread is doing, and calls the second. */
proctype handler(byte t)
{
	bool inner;
	byte where, deep = HANDLER;

	if
	:: atomic { running > 0 -> interrupted[t] = true;
#ifdef LEAVE
			if
			:: deep = OWN_STACK
			:: deep = HANDLER
			:: !main_frames[t] && calls_from[t] == FIRST -> deep = FIRST + 1
			fi
#endif
		};
		call(t, true, 1, inner, deep);
		leave(t, true, inner);
		atomic { interrupted[t] = false; inner = false; where = 0; deep = 0 }
	:: atomic { running == 0 -> deep = 0 }
	fi
}

/* ---- the tool ----------------------------------------------------------------- */

byte deaths = DEATHS, turns = TURNS;

/* The tool may die here; another one comes and finds what the record says. */
#ifdef ASLEEP
#define step if :: deaths > 0 -> deaths--; died = true; goto again :: skip fi
#else
#define step if :: deaths > 0 -> deaths--; goto again :: skip fi
#endif

inline arm()
{
	i = 0;
	do
	:: i < FUNCS ->
		slot[i] = STUB; step;
		entry[i] = GATE; step;
		i++
	:: else -> break
	od
}

#ifdef ASLEEP
#ifdef LEAVE
#define stands_and_switches(t, to) patched[t] = to; in_table[t] = true; \
	tentative[t] = false; mark[t] = 0; unsure[t] = false; leaves_at[t] = 0
/* Its own outermost call of what it has to leave, with its whole stack known. */
#define can_leave(t, to) ((to -> old_frames[t] : new_frames[t]) && !in_dispatcher[t] && \
			  main_frames[t])
/* Also with a mark: it may have decided otherwise before a handler left that. */
#ifdef BUG_TRUST_MARK
#define is_leaving(t) (leaves_at[t] && !mark[t])
#else
#define is_leaving(t) (leaves_at[t])
#endif
#define is_told(t) (leaves_at[t] == outermost[t] && !mark[t] && !unsure[t])

inline tell_to_leave(t)
{
	patched[t] = state_of(t);
	in_table[t] = true;
	tentative[t] = false;
	mark[t] = 0;
	unsure[t] = false;
	leaves_at[t] = outermost[t]
}
#else
#define stands_and_switches(t, to) patched[t] = to; in_table[t] = true; \
	tentative[t] = false; mark[t] = 0; unsure[t] = false
#define is_leaving(t) false
#endif

/* Looked at and switched while it sleeps; it may wake at any moment, and has moved then. */
inline switch_asleep(t, to)
{
#ifndef BUG_MARK_EARLY
	moved[t] = false;
#endif
	if
	:: !in_table[t] -> atomic { patched[t] = initial; tentative[t] = true; in_table[t] = true }
	:: else -> tentative[t] = true
	fi;
	step;
	/* It slept when it was looked for, or is found to have moved. */
	mark[t] = 0;
#ifdef BUG_MARK_EARLY
	moved[t] = false;
#endif
	if
	:: atomic { !moved[t] && is_clear(t, to) ->
		looked = true }
	:: atomic { else -> looked = false }
	fi;
	if
	:: looked ->
		atomic { patched[t] = to; tentative[t] = false; unsure[t] = true }; step;
		if
#ifdef BUG_COMMIT_UNSEEN
		:: atomic { unsure[t] = false }
#else
		:: atomic { !moved[t] -> assert(!mark[t]); unsure[t] = false }
		:: atomic { moved[t] -> skip }
#endif
		fi
	:: else -> skip
	fi
}

#define is_at(t, to) (!unsure[t] && !is_leaving(t) && state_of(t) == to)
#else
#define stands_and_switches(t, to) patched[t] = to; in_table[t] = true
#define is_at(t, to) (state_of(t) == to)
#endif

/* Each thread on its own, when its stack holds nothing of what goes out of use. */
inline switch_to(to)
{
	i = 0;
	do
	:: i < THREADS ->
		if
#ifdef BUG_SWITCH_UNCHECKED
		:: atomic { stands_and_switches(i, to) }
#else
#ifdef LEAVE
		:: atomic { is_at(i, to) -> skip }
		:: atomic { !is_at(i, to) && can_leave(i, to) && state_of(i) != to && !is_told(i) ->
			tell_to_leave(i); i-- }
#else
		:: atomic { is_at(i, to) -> in_table[i] = true; patched[i] = to }
#endif
		:: atomic { !is_at(i, to) && is_clear(i, to) -> stands_and_switches(i, to) }
		:: atomic { !is_at(i, to) && can_be_put_back(i, to) -> put_it_back(i);
			stands_and_switches(i, to) }
#ifdef ASLEEP
		:: atomic { !unsure[i] && !is_leaving(i) && state_of(i) != to && tries > 0 -> tries-- };
			switch_asleep(i, to);
			if :: is_at(i, to) :: else -> i-- fi
#endif
#endif
		:: turns > 0 -> turns--; turned = true; break
		fi;
		step;
		i++
	:: else -> break
	od
}

inline new_table(state)
{
	atomic {
		i = 0;
		do
		:: i < THREADS -> in_table[i] = false; patched[i] = false;
#ifdef ASLEEP
			tentative[i] = false; mark[i] = 0; unsure[i] = false;
#endif
#ifdef LEAVE
			leaves_at[i] = 0;
#endif
			i++
		:: else -> break
		od;
		initial = state
	}
}

inline see_outside(new_too)
{
	i = 0;
	do
	:: i < THREADS ->
		atomic { !in_stubs(i) && !(new_too && new_frames[i]) -> skip };
		i++
	:: else -> break
	od
}

active proctype tool()
{
	short i;
	bool turned, disabled;
#ifdef ASLEEP
	bool looked;
	byte tries = TRIES;
#endif

again:
	turned = false;
	i = 0;
#ifdef ASLEEP
	/* Another tool does not know how far this one was (redirect/dispatch.c, dispatch_read). */
	if
	:: atomic { died -> died = false; looked = false;
		do
		:: i < THREADS -> unsure[i] = in_table[i]; i++
		:: else -> i = 0; break
		od }
	:: else -> skip
	fi;
#endif
	if
	:: phase == NONE && !disabled ->
		phase = LOADING; step;
		patch_mapped = true; dispatch_mapped = true; step;
		new_table(false);
		phase = ENABLING; step;
		goto again
	:: phase == LOADING ->
		/* Nothing leads there: taken back, and begun anew. */
		dispatch_mapped = false; patch_mapped = false; phase = NONE;
		goto again
	:: phase == ENABLING ->
#ifdef BUG_SETTLE_EARLY
		slot[0] = STRAIGHT;
		entry[0] = GATE;
#endif
		arm();
		switch_to(true);
		if
		:: turned -> phase = DISABLING; step
		:: else -> initial = true; step; phase = APPLIED; step
		fi;
		goto again
	:: phase == APPLIED && dispatch_mapped ->
		i = 0;
		do
		:: i < FUNCS ->
			slot[i] = STRAIGHT; step;
			entry[i] = NEW; step;
			i++
		:: else -> break
		od;
#ifndef BUG_NOT_SEEN_OUTSIDE
		see_outside(false);
#endif
		dispatch_mapped = false; step;
		goto again
	:: phase == APPLIED && !dispatch_mapped ->
		new_table(true);
		dispatch_mapped = true;
		phase = DISABLING; step;
		goto again
	:: phase == DISABLING ->
		arm();
		switch_to(false);
		if
		:: turned -> phase = ENABLING; step
		:: else -> initial = false; step; phase = RESTORING; step
		fi;
		goto again
	:: phase == RESTORING ->
		i = 0;
		do
		:: i < FUNCS ->
#ifdef BUG_ENTRY_FIRST
			entry[i] = ORIG; step;
			i++
		:: else -> break
		od;
		patch_mapped = false; dispatch_mapped = false;
#else
			slot[i] = BELOW; step;
			entry[i] = ORIG; step;
			i++
		:: else -> break
		od;
		see_outside(true);
#endif
		phase = UNLOADING; step;
		dispatch_mapped = false; step;
		patch_mapped = false; step;
		disabled = true;
		phase = NONE;
		goto again
	:: phase == UNLOADING ->
		dispatch_mapped = false;
		patch_mapped = false;
		disabled = true;
		phase = NONE;
		goto again
	:: phase == NONE && disabled
	fi;
	assert(entry[0] == ORIG && entry[1] == ORIG && !patch_mapped && !dispatch_mapped)
}

init {
	atomic {
		run thread(0);
#if THREADS > 2
		run thread(1);
#endif
		run short_thread(THREADS - 1);
		run handler(0)
	}
}
