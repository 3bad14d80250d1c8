/* thrum.h - all of thrum. Start reading with thrum/task.h. */
#ifndef THRUM_H
#define THRUM_H

#include <thrum/base.h>
#include <thrum/err.h>
#include <thrum/time.h>
#include <thrum/fork.h>
#include <thrum/scope.h>
#include <thrum/task.h>
#include <thrum/local.h>
#include <thrum/run.h>
#include <thrum/offload.h>
#include <thrum/sync.h>
#include <thrum/chan.h>
#include <thrum/broadcast.h>
#include <thrum/pipeline.h>
#include <thrum/gen.h>
#include <thrum/completed.h>
#include <thrum/io.h>
#include <thrum/dir.h>
#include <thrum/process.h>
#include <thrum/signal.h>
#include <thrum/inspect.h>
#include <thrum/test.h>

#endif
