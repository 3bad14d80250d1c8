/* The errno values of Linux as immortal errors.
 *
 * The table is ours because glibc alone can name an errno value, and only a
 * constant object costs nothing to return. The numbers are those of every
 * architecture that takes them from asm-generic, x86-64 and aarch64 among them.
 */
#include "task/error.h"

#include <errno.h>

#define ERRNO_VALUES(X)                                                        \
    X(OS, EPERM, "Operation not permitted")                                    \
    X(OS, ENOENT, "No such file or directory")                                 \
    X(OS, ESRCH, "No such process")                                            \
    X(OS, EINTR, "Interrupted system call")                                    \
    X(OS, EIO, "Input/output error")                                           \
    X(OS, ENXIO, "No such device or address")                                  \
    X(OS, E2BIG, "Argument list too long")                                     \
    X(OS, ENOEXEC, "Exec format error")                                        \
    X(OS, EBADF, "Bad file descriptor")                                        \
    X(OS, ECHILD, "No child processes")                                        \
    X(OS, EAGAIN, "Resource temporarily unavailable")                          \
    X(NOMEM, ENOMEM, "Cannot allocate memory")                                 \
    X(OS, EACCES, "Permission denied")                                         \
    X(OS, EFAULT, "Bad address")                                               \
    X(OS, ENOTBLK, "Block device required")                                    \
    X(OS, EBUSY, "Device or resource busy")                                    \
    X(OS, EEXIST, "File exists")                                               \
    X(OS, EXDEV, "Invalid cross-device link")                                  \
    X(OS, ENODEV, "No such device")                                            \
    X(OS, ENOTDIR, "Not a directory")                                          \
    X(OS, EISDIR, "Is a directory")                                            \
    X(OS, EINVAL, "Invalid argument")                                          \
    X(OS, ENFILE, "Too many open files in system")                             \
    X(OS, EMFILE, "Too many open files")                                       \
    X(OS, ENOTTY, "Inappropriate ioctl for device")                            \
    X(OS, ETXTBSY, "Text file busy")                                           \
    X(OS, EFBIG, "File too large")                                             \
    X(OS, ENOSPC, "No space left on device")                                   \
    X(OS, ESPIPE, "Illegal seek")                                              \
    X(OS, EROFS, "Read-only file system")                                      \
    X(OS, EMLINK, "Too many links")                                            \
    X(OS, EPIPE, "Broken pipe")                                                \
    X(OS, EDOM, "Numerical argument out of domain")                            \
    X(OS, ERANGE, "Numerical result out of range")                             \
    X(OS, EDEADLK, "Resource deadlock avoided")                                \
    X(OS, ENAMETOOLONG, "File name too long")                                  \
    X(OS, ENOLCK, "No locks available")                                        \
    X(OS, ENOSYS, "Function not implemented")                                  \
    X(OS, ENOTEMPTY, "Directory not empty")                                    \
    X(OS, ELOOP, "Too many levels of symbolic links")                          \
    X(OS, ENOMSG, "No message of desired type")                                \
    X(OS, EIDRM, "Identifier removed")                                         \
    X(OS, ECHRNG, "Channel number out of range")                               \
    X(OS, EL2NSYNC, "Level 2 not synchronized")                                \
    X(OS, EL3HLT, "Level 3 halted")                                            \
    X(OS, EL3RST, "Level 3 reset")                                             \
    X(OS, ELNRNG, "Link number out of range")                                  \
    X(OS, EUNATCH, "Protocol driver not attached")                             \
    X(OS, ENOCSI, "No CSI structure available")                                \
    X(OS, EL2HLT, "Level 2 halted")                                            \
    X(OS, EBADE, "Invalid exchange")                                           \
    X(OS, EBADR, "Invalid request descriptor")                                 \
    X(OS, EXFULL, "Exchange full")                                             \
    X(OS, ENOANO, "No anode")                                                  \
    X(OS, EBADRQC, "Invalid request code")                                     \
    X(OS, EBADSLT, "Invalid slot")                                             \
    X(OS, EBFONT, "Bad font file format")                                      \
    X(OS, ENOSTR, "Device not a stream")                                       \
    X(OS, ENODATA, "No data available")                                        \
    X(OS, ETIME, "Timer expired")                                              \
    X(OS, ENOSR, "Out of streams resources")                                   \
    X(OS, ENONET, "Machine is not on the network")                             \
    X(OS, ENOPKG, "Package not installed")                                     \
    X(OS, EREMOTE, "Object is remote")                                         \
    X(OS, ENOLINK, "Link has been severed")                                    \
    X(OS, EADV, "Advertise error")                                             \
    X(OS, ESRMNT, "Srmount error")                                             \
    X(OS, ECOMM, "Communication error on send")                                \
    X(OS, EPROTO, "Protocol error")                                            \
    X(OS, EMULTIHOP, "Multihop attempted")                                     \
    X(OS, EDOTDOT, "RFS specific error")                                       \
    X(OS, EBADMSG, "Bad message")                                              \
    X(OS, EOVERFLOW, "Value too large for defined data type")                  \
    X(OS, ENOTUNIQ, "Name not unique on network")                              \
    X(OS, EBADFD, "File descriptor in bad state")                              \
    X(OS, EREMCHG, "Remote address changed")                                   \
    X(OS, ELIBACC, "Can not access a needed shared library")                   \
    X(OS, ELIBBAD, "Accessing a corrupted shared library")                     \
    X(OS, ELIBSCN, ".lib section in a.out corrupted")                          \
    X(OS, ELIBMAX, "Attempting to link in too many shared libraries")          \
    X(OS, ELIBEXEC, "Cannot exec a shared library directly")                   \
    X(OS, EILSEQ, "Invalid or incomplete multibyte or wide character")         \
    X(OS, ERESTART, "Interrupted system call should be restarted")             \
    X(OS, ESTRPIPE, "Streams pipe error")                                      \
    X(OS, EUSERS, "Too many users")                                            \
    X(OS, ENOTSOCK, "Socket operation on non-socket")                          \
    X(OS, EDESTADDRREQ, "Destination address required")                        \
    X(OS, EMSGSIZE, "Message too long")                                        \
    X(OS, EPROTOTYPE, "Protocol wrong type for socket")                        \
    X(OS, ENOPROTOOPT, "Protocol not available")                               \
    X(OS, EPROTONOSUPPORT, "Protocol not supported")                           \
    X(OS, ESOCKTNOSUPPORT, "Socket type not supported")                        \
    X(OS, EOPNOTSUPP, "Operation not supported")                               \
    X(OS, EPFNOSUPPORT, "Protocol family not supported")                       \
    X(OS, EAFNOSUPPORT, "Address family not supported by protocol")            \
    X(OS, EADDRINUSE, "Address already in use")                                \
    X(OS, EADDRNOTAVAIL, "Cannot assign requested address")                    \
    X(OS, ENETDOWN, "Network is down")                                         \
    X(OS, ENETUNREACH, "Network is unreachable")                               \
    X(OS, ENETRESET, "Network dropped connection on reset")                    \
    X(OS, ECONNABORTED, "Software caused connection abort")                    \
    X(OS, ECONNRESET, "Connection reset by peer")                              \
    X(OS, ENOBUFS, "No buffer space available")                                \
    X(OS, EISCONN, "Transport endpoint is already connected")                  \
    X(OS, ENOTCONN, "Transport endpoint is not connected")                     \
    X(OS, ESHUTDOWN, "Cannot send after transport endpoint shutdown")          \
    X(OS, ETOOMANYREFS, "Too many references: cannot splice")                  \
    X(TIMEOUT, ETIMEDOUT, "Timed out")                                         \
    X(OS, ECONNREFUSED, "Connection refused")                                  \
    X(OS, EHOSTDOWN, "Host is down")                                           \
    X(OS, EHOSTUNREACH, "No route to host")                                    \
    X(OS, EALREADY, "Operation already in progress")                           \
    X(OS, EINPROGRESS, "Operation now in progress")                            \
    X(OS, ESTALE, "Stale file handle")                                         \
    X(OS, EUCLEAN, "Structure needs cleaning")                                 \
    X(OS, ENOTNAM, "Not a XENIX named type file")                              \
    X(OS, ENAVAIL, "No XENIX semaphores available")                            \
    X(OS, EISNAM, "Is a named type file")                                      \
    X(OS, EREMOTEIO, "Remote I/O error")                                       \
    X(OS, EDQUOT, "Disk quota exceeded")                                       \
    X(OS, ENOMEDIUM, "No medium found")                                        \
    X(OS, EMEDIUMTYPE, "Wrong medium type")                                    \
    X(CANCELED, ECANCELED, "Operation canceled")                               \
    X(OS, ENOKEY, "Required key not available")                                \
    X(OS, EKEYEXPIRED, "Key has expired")                                      \
    X(OS, EKEYREVOKED, "Key has been revoked")                                 \
    X(OS, EKEYREJECTED, "Key was rejected by service")                         \
    X(OS, EOWNERDEAD, "Owner died")                                            \
    X(OS, ENOTRECOVERABLE, "State not recoverable")                            \
    X(OS, ERFKILL, "Operation not possible due to RF-kill")                    \
    X(OS, EHWPOISON, "Memory page has hardware error")

#define AS_LEAF(of, id, text)                                                  \
    [id] = {.head.refs = ERROR_IMMORTAL,                                       \
            .kind = &THRUM_##of,                                               \
            .message = text,                                                   \
            .index = ERROR_NO_INDEX,                                           \
            .number = id,                                                      \
            .depth = 1},
#define AS_NAME(of, id, text) [id] = #id,

static const struct leaf leaves[] = {ERRNO_VALUES(AS_LEAF)};
static const char *const names[] = {ERRNO_VALUES(AS_NAME)};

enum { ERRNO_END = sizeof(leaves) / sizeof(leaves[0]) };

static const struct leaf unknown = {
    .head.refs = ERROR_IMMORTAL,
    .kind = &THRUM_OS,
    .message = "unknown errno value",
    .index = ERROR_NO_INDEX,
    .depth = 1,
};

const struct leaf *error_of_errno(int64_t number)
{
    if (number <= 0 || number >= ERRNO_END || !leaves[number].kind)
        return &unknown;
    return &leaves[number];
}

const char *error_errno_name(int number)
{
    return number > 0 && number < ERRNO_END ? names[number] : NULL;
}
